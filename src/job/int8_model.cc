#include "job/int8_model.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "core/atomic_file.h"
#include "core/option.h"
#include "data/npy.h"
#include "dnateq/error.h"
#include "job/process.h"
#include "job/result_writer.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

// NNCF calibrates with so many samples, unless told otherwise.
constexpr int64_t kSamples = 300;

// What bench/nncf_int8.py reads.
bool are_arrays(const fs::path& data) {
  if (data.extension() == ".npz" || data.extension() == ".npy") return true;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(data, failed))
    if (entry.path().extension() == ".npz") return true;
  return false;
}

bool has_attention(const PreparedModel& prepared) {
  return std::any_of(prepared.unquantized.begin(), prepared.unquantized.end(),
                     [](const auto& layer) { return layer.type == "MatMul" && layer.weight_elements == 0; });
}

}  // namespace

fs::path int8_model_for(const QuantizeArguments& arguments, const PreparedModel& prepared, const Samples& calibration,
                        const Int8Place& place, const Installation& installation,
                        const std::function<void(const std::string&)>& say) {
  if (arguments.int8 == "none") return {};
  if (!arguments.int8.empty()) return arguments.int8;
  const fs::path scripts = find_scripts(installation), data = arguments.calibration.path;
  const bool arrays = are_arrays(data), images = !arrays && calibration.stackable() && calibration.inputs().size() == 1;
  if (scripts.empty() || !(arrays || images) || access(peers_python(scripts).c_str(), X_OK) != 0) return {};
  // Written last: a model that was not finished, or is of another network or other data, is made again.
  const std::string key = int8_key(prepared.fingerprint, calibration.fingerprint());
  for (const fs::path& made : {place.work / "int8", place.directory / "int8"})
    if (int8_made_of(made.parent_path()) == key) return made / "model.xml";
  const fs::path folder = place.work / "int8", model = folder / "model.xml", key_file = folder / "made_of";
  std::error_code failed, ignored;
  fs::create_directories(folder, failed);
  fs::remove(key_file, ignored);
  if (say) say(fmt::format("NNCF makes an INT8 model to compare with ({}: without)", option("int8", "none")));
  const fs::path written = folder / "calibration.npy";  // images as this network gets them
  if (images) {
    try {
      write_npy(written, calibration, std::min(calibration.size(), kSamples));
    } catch (const Error& error) {  // images of several sizes, say, which the search takes
      fs::remove(written, ignored);
      if (say) say(fmt::format("it could not be made: {}", error.marked()));
      return {};
    }
  }
  Invocation command{{peers_python(scripts).string(), (scripts / "bench" / "nncf_int8.py").string(), arguments.model,
                      "--calibration", (images ? written : data).string(), "-o", model.string()},
                     {}};
  if (has_attention(prepared)) command.words.insert(command.words.end(), {"--model-type", "transformer"});
  const bool made = !failed && run_to_log(command, folder / "nncf.log");
  fs::remove(written, ignored);
  if (made) {
    write_file_atomically(key_file, key);
    return model;
  }
  if (say) say(fmt::format("it could not be made; {} says why", (place.directory / "int8" / "nncf.log").string()));
  return {};
}

}  // namespace dnateq
