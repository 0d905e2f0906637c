#include "job/result_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/atomic_file.h"
#include "core/document.h"
#include "core/option.h"
#include "dnateq/error.h"
#include "job/job_file.h"
#include "job/result_writer.h"
#include "report/report_file.h"

namespace dnateq {

namespace {

namespace fs = std::filesystem;

const char* const kRecipeFile = "recipe.dnateq.json";

bool is_found(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Without a last slash.
fs::path whole_path(const fs::path& folder) { return fs::absolute(folder / "").lexically_normal().parent_path(); }

std::vector<std::string> results_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (is_found(entry.path() / kRecipeFile)) names.push_back("'" + entry.path().string() + "'");
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

void check_result(const fs::path& folder) {
  if (is_found(folder / kRecipeFile)) return;
  std::error_code ignored;
  const std::string name = folder.string();
  if (!is_found(folder)) throw Error(fmt::format("there is no folder '{}'; give one that dnateq quantize wrote", name));
  if (!fs::is_directory(folder, ignored))
    throw Error(fmt::format("'{}' is a file; give the folder that dnateq quantize wrote", name));
  if (is_found(folder / "unfinished" / "running"))
    throw Error(
        fmt::format("'{}' holds a run that was stopped or still works, and no result yet; end it by the same "
                    "call with {}",
                    name, option("resume")));
  const fs::path whole = whole_path(folder), parent = whole.parent_path();
  if (whole.filename() == "unfinished" && is_found(folder / "running"))
    throw Error(fmt::format("'{}' is where a run works or was stopped; end it by the same call with {}, then give '{}'",
                            name, option("resume"), parent.string()));
  if (is_found(parent / kRecipeFile))
    throw Error(fmt::format("'{}' is part of the result '{}'; give that folder", name, parent.string()));
  if (const auto results = results_in(folder); !results.empty())
    throw Error(fmt::format("'{}' holds results and is none; give one of them: {}", name, fmt::join(results, ", ")));
  if (fs::is_empty(folder, ignored))
    throw Error(fmt::format("'{}' is empty; give a folder that dnateq quantize wrote", name));
  throw Error(
      fmt::format("'{}' has no {}, so it is no result; give a folder that dnateq quantize wrote", name, kRecipeFile));
}

Recipe load_result(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "unfinished" / "complete"))  // a process was killed while it put the rest there
    const ResultWriter whole(folder);
  check_result(folder);
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
