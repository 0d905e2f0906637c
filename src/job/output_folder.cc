#include "job/output_folder.h"

#include <fmt/format.h>

#include "core/option.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

constexpr const char* kOurs[] = {"report.html", "analysis.json", "result.json",
                                 "layers.csv",  "sweep.json",    "sweep.csv"};

}  // namespace

OutputFolder::OutputFolder(const std::filesystem::path& directory)
    : directory_(std::filesystem::absolute(directory).lexically_normal()) {
  if (!directory_.has_filename()) directory_ = directory_.parent_path();  // it was given as DIR/
  std::error_code ignored;
  if (std::filesystem::exists(directory_, ignored) && !std::filesystem::is_directory(directory_, ignored))
    throw Error(fmt::format("{} '{}' is a file, and the result is a folder; choose another name", option("directory"),
                            directory.string()));
  for (const char* name : kOurs)
    if (std::filesystem::exists(directory_ / name, ignored)) there_.insert(name);
  for (std::filesystem::path at = directory_; at.has_relative_path() && !std::filesystem::exists(at, ignored);
       at = at.parent_path())
    missing_.push_back(at);
}

void OutputFolder::discard() const {
  std::error_code ignored;
  for (const char* name : kOurs)
    if (!there_.contains(name)) std::filesystem::remove_all(directory_ / name, ignored);
  for (const std::filesystem::path& folder : missing_) std::filesystem::remove(folder, ignored);
}

}  // namespace dnateq
