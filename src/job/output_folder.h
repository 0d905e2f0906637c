// The folder of an analysis or a simulation: what a failed run made there goes again.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace dnateq {

class OutputFolder {
 public:
  // Notes what is there already. Throws Error if a file stands in the folder's place.
  explicit OutputFolder(const std::filesystem::path& directory);

  // Removes the files and folders of a result that were not there before, then the folders above them that were missing
  // and are empty now. Files of the user stay.
  void discard() const;

 private:
  std::filesystem::path directory_;
  std::set<std::string> there_;
  std::vector<std::filesystem::path> missing_;  // the innermost first
};

}  // namespace dnateq
