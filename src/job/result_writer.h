// A result folder, and the run that makes a new result in it. The run works in DIR/unfinished and touches nothing
// beside it; once the new result is whole, its files are renamed into DIR, and those of the former result go. What a
// recipe of ours does not say we wrote is never replaced nor removed.
//
//   unfinished/running    locked while a process works there; says that the folder is ours
//   unfinished/complete   names of files, written when the new result is whole: whoever finds it puts them in place
//   unfinished/former/    files of the former result, until the new ones are in place
//   unfinished/...        as in a result: models, recipe, measurements with checkpoints, which --resume goes on from
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "dnateq/recipe.h"

namespace dnateq {

// Files of a result by their names in its folder, the recipe first. Those that lie there need not be all of them.
std::vector<std::string> files_of_result(const Recipe& recipe);

// Why a result cannot be written to a folder: the first file of the user's that would be replaced, options marked.
// Empty: it can.
// For a language model, files of its folder's names are in the way too.
std::string refusal_of_folder(const std::filesystem::path& directory, bool for_language_model = false);

// Throws Error if a result in the folder would replace `file`; `what` says what that is: "the network itself".
void spare(const std::filesystem::path& directory, const std::filesystem::path& file, const char* what);

// A file that is open as long as this is.
class OpenFile {
 public:
  OpenFile() = default;
  explicit OpenFile(int number) : number_(number) {}
  OpenFile(OpenFile&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  OpenFile& operator=(OpenFile&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile();

  int number() const { return number_; }  // below 0: none

 private:
  int number_ = -1;
};

// What int8/made_of says of the INT8 model of a network and its calibration samples.
std::string int8_key(const std::string& model_fingerprint, const std::string& data_fingerprint);
// What int8/made_of in a folder says; empty: there is none.
std::string int8_made_of(const std::filesystem::path& directory);

class ResultWriter {
 public:
  // Puts a result in place that a process killed meanwhile had completed; changes nothing else. Throws Error if the
  // folder holds something of the user's where files of a result go, or a file stands in its place.
  explicit ResultWriter(const std::filesystem::path& directory, bool for_language_model = false);

  const std::filesystem::path& directory() const { return directory_; }
  const std::filesystem::path& work() const { return work_; }  // DIR/unfinished

  // Whether there is anything to go on from: an unfinished run, or measurements of a finished one.
  bool can_resume() const;
  // Makes work() and locks it. With `resume` it keeps what an unfinished run left there, else what a finished one
  // measured. Throws Error if another process works in the folder.
  void start(bool resume);
  // Puts the result in work() into the folder. Throws Error, with the former result whole again and the new one in
  // work().
  void publish();
  // The same for several: all of them or none.
  static void publish_all(std::vector<ResultWriter>& folders);
  // Whether the result in work() is whole, though not in its place.
  bool whole() const { return whole_; }
  // Removes what this run made, and folders that were missing before. What it resumed stays.
  void discard() const;

 private:
  OpenFile locked() const;
  void put_in_place();
  void prepare();
  void move_in() const;
  void move_back() const;
  void finish();

  std::filesystem::path directory_, work_;
  bool for_language_model_ = false;
  std::vector<std::filesystem::path> missing_;  // the innermost first
  bool keeps_ = false;                          // an unfinished run was resumed
  bool started_ = false;
  bool whole_ = false;
  OpenFile lock_;
};

}  // namespace dnateq
