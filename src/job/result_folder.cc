#include "job/result_folder.h"

#include <fmt/format.h>

#include <utility>

#include "core/atomic_file.h"
#include "core/document.h"
#include "core/option.h"
#include "dnateq/error.h"
#include "job/job_file.h"
#include "job/result_writer.h"
#include "report/report_file.h"

namespace dnateq {

Recipe load_result(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "unfinished" / "complete"))  // a process was killed while it put the rest there
    const ResultWriter whole(folder);
  Recipe recipe = load_recipe(folder / "recipe.dnateq.json");
  const std::filesystem::path job = folder / "measurements" / "job.json";
  if (!std::filesystem::exists(job)) return recipe;  // the recipe alone was handed on
  if (load_job(job).model_fingerprint != recipe.model_fingerprint)
    throw Error(fmt::format("'{}' is the recipe of another model than the rest of '{}'; run dnateq quantize again",
                            (folder / "recipe.dnateq.json").string(), folder.string()));
  return recipe;
}

ReportInput load_report_input(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "measurements" / "report.cbor";
  Recipe recipe = load_result(folder);
  return read_report_file(read_document_file(file, "run dnateq quantize again"), std::move(recipe), file.string());
}

void save_report_input(const ReportInput& input, const std::filesystem::path& folder) {
  write_file_atomically(folder / "measurements" / "report.cbor", report_file_bytes(input));
}

void save_result(const std::filesystem::path& from, const std::filesystem::path& to) {
  const Recipe recipe = load_result(from);
  ResultWriter writer(to);
  if (std::filesystem::exists(writer.work()))
    throw Error(fmt::format(
        "'{}' is a run that was stopped or still works; end it with {}, remove the folder, or choose another {}",
        writer.work().string(), option("resume"), option("directory")));
  try {
    writer.start(false);
    for (const std::string& name : files_of_result(recipe)) {
      if (!std::filesystem::exists(from / name)) continue;
      std::error_code failed;
      std::filesystem::create_directories((writer.work() / name).parent_path(), failed);
      if (!failed) std::filesystem::copy_file(from / name, writer.work() / name, failed);
      if (failed)
        throw Error(
            fmt::format("'{}' cannot be copied to '{}': {}", (from / name).string(), to.string(), failed.message()));
    }
    writer.publish();
  } catch (...) {
    writer.discard();
    throw;
  }
}

}  // namespace dnateq
