#include "job/installation.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <openvino/core/version.hpp>
#include <utility>

#include "dnateq/error.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

// What lies beside the program's folder; empty where that is not known.
fs::path beside(const Installation& installation, const char* what) {
  if (installation.program.empty()) return {};
  std::error_code ignored;
  return fs::weakly_canonical(fs::weakly_canonical(installation.program, ignored).parent_path() / ".." / what, ignored);
}

}  // namespace

fs::path find_scripts(const Installation& installation) {
  for (const fs::path& folder : {beside(installation, "share/dnateq"), fs::path(DNATEQ_SOURCE_DIR)})
    if (fs::is_regular_file(folder / "bench" / "speed.py")) return fs::weakly_canonical(folder);
  return {};
}

fs::path scripts_folder(const Installation& installation) {
  fs::path folder = find_scripts(installation);
  if (folder.empty())
    throw Error(
        fmt::format("bench/speed.py is neither in '{}' nor in ../share/dnateq beside the program; keep one of them",
                    DNATEQ_SOURCE_DIR));
  return folder;
}

fs::path bench_python(const Installation& installation, const fs::path& scripts) {
  return installation.python.empty() ? scripts / ".venv/bin/python" : installation.python;
}

fs::path find_extension(const Installation& installation) {
  fs::path file = beside(installation, "lib/libdnateq_openvino.so");
  return fs::is_regular_file(file) ? file : fs::path();
}

fs::path find_tokenizers_extension() {
  if (const char* named = std::getenv("DNATEQ_TOKENIZERS");
      named != nullptr && *named != 0)  // NOLINT(concurrency-mt-unsafe)
    return named;
  Dl_info openvino = {};
  if (dladdr(reinterpret_cast<const void*>(&ov::get_openvino_version), &openvino) == 0) return {};
  fs::path file =
      fs::path(openvino.dli_fname).parent_path() / "../../openvino_tokenizers/lib/libopenvino_tokenizers.so";
  return fs::is_regular_file(file) ? file.lexically_normal() : fs::path();
}

fs::path peers_folder(const fs::path& scripts) {
  if (fs::is_regular_file(scripts / "CMakeLists.txt")) return scripts / "build/peers-venv";
  for (const auto& [variable, below] : {std::pair("XDG_CACHE_HOME", "dnateq"), std::pair("HOME", ".cache/dnateq")}) {
    const char* folder = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe)
    if (folder != nullptr && *folder == '/') return fs::path(folder) / below / "peers-venv";
  }
  return fs::temp_directory_path() / "dnateq" / "peers-venv";
}

fs::path peers_python(const fs::path& scripts) { return peers_folder(scripts) / "bin/python"; }

}  // namespace dnateq
