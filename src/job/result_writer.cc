#include "job/result_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "core/atomic_file.h"
#include "core/option.h"
#include "dnateq/error.h"
#include "job/language_folder.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecipe = "recipe.dnateq.json";
constexpr const char* kModel[] = {"model.xml", "model.bin"};
constexpr const char* kLanguageModel[] = {"openvino_model.xml", "openvino_model.bin"};
constexpr const char* kLanguageExact[] = {"exact/openvino_model.xml", "exact/openvino_model.bin"};
constexpr const char* kExact[] = {"exact/model.xml", "exact/model.bin"};
constexpr const char* kRest[] = {"report.html", "measurements/job.json", "measurements/measurements.cbor",
                                 "measurements/report.cbor"};
// NNCF's model: whole where made_of lies there, which is written last.
constexpr const char* kInt8[] = {"int8/model.xml", "int8/model.bin", "int8/nncf.log", "int8/made_of"};
constexpr const char* kInt8Log = kInt8[2];
constexpr const char* kInt8Whole = kInt8[3];
constexpr const char* kFolders[] = {"exact", "measurements", "int8"};

bool lies_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

// `companions`: those of a language model's folder too, whose names other folders may use for anything.
std::vector<std::string> all_names(bool companions) {
  std::vector<std::string> names = {kRecipe};
  names.insert(names.end(), std::begin(kModel), std::end(kModel));
  names.insert(names.end(), std::begin(kExact), std::end(kExact));
  names.insert(names.end(), std::begin(kLanguageModel), std::end(kLanguageModel));
  names.insert(names.end(), std::begin(kLanguageExact), std::end(kLanguageExact));
  if (companions) names.insert(names.end(), companion_files().begin(), companion_files().end());
  names.insert(names.end(), std::begin(kRest), std::end(kRest));
  names.insert(names.end(), std::begin(kInt8), std::end(kInt8));
  return names;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void add_int8(const fs::path& directory, std::vector<std::string>& names) {
  if (lies_there(directory / kInt8Whole))
    names.insert(names.end(), std::begin(kInt8), std::end(kInt8));
  else
    names.emplace_back(kInt8Log);
}

// What a recipe in the folder says we wrote, of what lies there; nothing without a recipe.
std::vector<std::string> files_there(const fs::path& directory) {
  if (!lies_there(directory / kRecipe)) return {};
  std::vector<std::string> names;
  try {
    names = files_of_result(load_recipe(directory / kRecipe));
  } catch (const Error&) {
    throw Error(
        fmt::format("'{}' is no recipe that dnateq can read, so that nothing in its folder is replaced; remove it or "
                    "choose another {}",
                    (directory / kRecipe).string(), option("directory")));
  }
  add_int8(directory, names);
  std::erase_if(names, [&](const std::string& name) { return !lies_there(directory / name); });
  return names;
}

// A link would have us write, or remove, wherever it leads.
void refuse_links(const fs::path& work) {
  const auto refuse = [](const fs::path& link) {
    throw Error(fmt::format("'{}' is a link, which a run of dnateq does not follow; remove it", link.string()));
  };
  if (fs::is_symlink(work)) refuse(work);
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(work, ignored))
    if (entry.is_symlink(ignored)) refuse(entry.path());
}

void move_file(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  fs::create_directories(to.parent_path(), failed);
  if (!failed) fs::rename(from, to, failed);
  if (failed)
    throw Error(fmt::format("'{}' cannot be put in its place, '{}': {}; check the permissions", from.string(),
                            to.string(), failed.message()));
}

// The names in unfinished/complete, of files that are put in place and of those that go.
struct Change {
  std::vector<std::string> fresh, former;
};

Change read_change(const fs::path& file) {
  Change change;
  const std::vector<std::string> known = all_names(true);
  std::ifstream stream(file);
  for (std::string kind, name; stream >> kind >> name;) {
    if (!has(known, name) || (kind != "new" && kind != "former"))
      throw Error(fmt::format("'{}' is damaged; remove the folder that it lies in", file.string()));
    (kind == "new" ? change.fresh : change.former).push_back(name);
  }
  return change;
}

}  // namespace

std::vector<std::string> files_of_result(const Recipe& recipe) {
  std::vector<std::string> names = {kRecipe};
  const auto add = [&](const auto& some) { names.insert(names.end(), std::begin(some), std::end(some)); };
  const auto is_low_bit = [](const EmissionResult& e) { return e.emission == "exact" || e.emission == "counting"; };
  const auto low_bit = std::count_if(recipe.emissions.begin(), recipe.emissions.end(), is_low_bit);
  const bool of_folder = recipe.model_file.ends_with(std::string("/") + kLanguageModel[0]);
  add(of_folder ? kLanguageModel : kModel);
  // Beside another one; older recipes do not say.
  if (recipe.emissions.empty() || (low_bit > 0 && low_bit < std::ssize(recipe.emissions)))
    add(of_folder ? kLanguageExact : kExact);
  if (of_folder) add(companion_files());
  add(kRest);
  return names;
}

std::string int8_key(const std::string& model_fingerprint, const std::string& data_fingerprint) {
  return model_fingerprint + " " + data_fingerprint;
}

std::string int8_made_of(const fs::path& directory) {
  std::ifstream stream(directory / kInt8Whole);
  std::string line;
  std::getline(stream, line);
  return line;
}

std::string refusal_of_folder(const fs::path& directory, bool for_language_model) {
  std::vector<std::string> ours;
  try {
    ours = files_there(directory);
  } catch (const Error& error) {
    return error.marked();
  }
  for (const std::string& name : all_names(for_language_model))
    if (lies_there(directory / name) && !has(ours, name))
      return fmt::format("'{}' is {}, and is not replaced; choose another {}", (directory / name).string(),
                         ours.empty() ? "of no result of dnateq" : "not of the result whose recipe lies there",
                         option("directory"));
  for (const char* name : kFolders) {
    const fs::path folder = directory / name;
    if (!lies_there(folder)) continue;
    if (fs::is_symlink(folder))
      return fmt::format("'{}' is a link, which a result does not follow; choose another {}", folder.string(),
                         option("directory"));
    if (!fs::is_directory(folder))
      return fmt::format("'{}' is a file, where a result has a folder; choose another {}", folder.string(),
                         option("directory"));
  }
  return {};
}

OpenFile::~OpenFile() {
  if (number_ >= 0) close(number_);
}

void spare(const fs::path& directory, const fs::path& file, const char* what) {
  std::error_code ignored;
  for (const std::string& name : all_names(true))
    if (fs::equivalent(directory / name, file, ignored))
      throw Error(fmt::format("'{}' is {}, which the result would replace; choose another {}",
                              (directory / name).string(), what, option("directory")));
}

ResultWriter::ResultWriter(const fs::path& directory, bool for_language_model)
    : directory_(fs::absolute(directory).lexically_normal()), for_language_model_(for_language_model) {
  if (!directory_.has_filename()) directory_ = directory_.parent_path();  // it was given as DIR/
  work_ = directory_ / "unfinished";
  std::error_code ignored;
  if (fs::exists(directory_, ignored) && !fs::is_directory(directory_, ignored))
    throw Error(fmt::format("{} '{}' is a file, and the result is a folder; choose another name", option("directory"),
                            directory.string()));
  for (fs::path at = directory_; at.has_relative_path() && !fs::exists(at, ignored); at = at.parent_path())
    missing_.push_back(at);
  if (lies_there(work_)) {
    if (!fs::is_directory(work_, ignored) || (!lies_there(work_ / "running") && !fs::is_empty(work_, ignored)))
      throw Error(fmt::format("'{}' is no run of dnateq that was stopped; rename it or choose another {}",
                              work_.string(), option("directory")));
    refuse_links(work_);
    if (lies_there(work_ / "complete")) {
      const OpenFile lock = locked();
      if (lies_there(work_ / "complete")) put_in_place();
    }
  }
  if (const std::string refusal = refusal_of_folder(directory_, for_language_model_); !refusal.empty())
    throw Error(refusal);
}

bool ResultWriter::can_resume() const {
  return lies_there(work_ / "measurements") || lies_there(directory_ / "measurements/measurements.cbor");
}

OpenFile ResultWriter::locked() const {
  const fs::path file = work_ / "running";
  while (true) {
    OpenFile lock(open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (lock.number() < 0)
      throw Error(
          fmt::format("'{}' cannot be written: {}; check the free space and the permissions, or choose another {}",
                      file.string(), std::strerror(errno), option("directory")));
    // File systems without locks say so otherwise, and are trusted.
    if (flock(lock.number(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      throw Error(fmt::format("another run of dnateq works in '{}'; wait for its end, or choose another {}",
                              directory_.string(), option("directory")));
    struct stat mine = {}, there = {};  // a run that ended meanwhile has removed the file
    if (fstat(lock.number(), &mine) == 0 && stat(file.c_str(), &there) == 0 && mine.st_ino == there.st_ino) return lock;
    std::error_code ignored;
    fs::create_directories(work_, ignored);
  }
}

void ResultWriter::start(bool resume) {
  std::error_code failed;
  fs::create_directories(work_, failed);
  if (failed)
    throw Error(fmt::format("the folder '{}' cannot be made: {}; choose another {}", directory_.string(),
                            failed.message(), option("directory")));
  lock_ = locked();
  started_ = true;
  keeps_ = resume && lies_there(work_ / "measurements");
  if (!resume)
    for (const auto& entry : fs::directory_iterator(work_, failed))
      if (entry.path().filename() != "running") fs::remove_all(entry.path(), failed);
  fs::create_directories(work_ / "measurements", failed);
  const fs::path measured = directory_ / "measurements/measurements.cbor";
  if (resume && !keeps_ && lies_there(measured))
    fs::copy_file(measured, work_ / "measurements/measurements.cbor", fs::copy_options::overwrite_existing, failed);
  if (failed)
    throw Error(fmt::format("'{}' cannot be written: {}; check the free space and the permissions", work_.string(),
                            failed.message()));
}

void ResultWriter::publish() {
  try {
    prepare();
    put_in_place();
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove(work_ / "complete", ignored);
    throw;
  }
  lock_ = OpenFile();
}

void ResultWriter::publish_all(std::vector<ResultWriter>& folders) {
  for (ResultWriter& folder : folders) folder.whole_ = true;
  size_t moved = 0;
  try {
    for (const ResultWriter& folder : folders)
      if (const std::string refusal = refusal_of_folder(folder.directory_, folder.for_language_model_);
          !refusal.empty())
        throw Error(refusal);
    for (ResultWriter& folder : folders) folder.prepare();
    for (; moved < folders.size(); ++moved) folders[moved].move_in();
  } catch (const Error&) {
    std::error_code ignored;
    while (moved > 0) folders[--moved].move_back();
    for (const ResultWriter& folder : folders) fs::remove(folder.work_ / "complete", ignored);
    throw;
  }
  for (ResultWriter& folder : folders) {
    folder.finish();
    folder.lock_ = OpenFile();
  }
}

// Writes unfinished/complete.
void ResultWriter::prepare() {
  const Recipe recipe = load_recipe(work_ / kRecipe);
  whole_ = true;
  if (const std::string refusal = refusal_of_folder(directory_, for_language_model_); !refusal.empty())
    throw Error(refusal);
  std::vector<std::string> fresh = files_of_result(recipe);
  const bool int8 = lies_there(work_ / kInt8Whole) || lies_there(work_ / kInt8Log);
  if (int8) add_int8(work_, fresh);
  std::erase_if(fresh, [&](const std::string& name) { return !lies_there(work_ / name); });
  const std::string made_of = int8_made_of(directory_);
  const bool other_int8 =
      int8 || (!made_of.empty() && made_of != int8_key(recipe.model_fingerprint, recipe.data_fingerprint));
  std::string text;
  for (const std::string& name : fresh) text += "new " + name + "\n";
  for (const std::string& name : files_there(directory_))
    if (other_int8 || !name.starts_with("int8/")) text += "former " + name + "\n";
  write_file_atomically(work_ / "complete", text);
}

void ResultWriter::put_in_place() {
  try {
    move_in();
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove(work_ / "complete", ignored);
    throw;
  }
  finish();
}

// Every step may be the last: called again, it goes on where it was. The recipe goes first and comes last, so that
// what lies between is no result to anybody.
void ResultWriter::move_in() const {
  const fs::path former = work_ / "former";
  Change change = read_change(work_ / "complete");
  std::reverse(change.fresh.begin(), change.fresh.end());
  try {
    for (const std::string& name : change.former)
      if (lies_there(directory_ / name) && !lies_there(former / name) &&
          (!has(change.fresh, name) || lies_there(work_ / name)))
        move_file(directory_ / name, former / name);
    for (const std::string& name : change.fresh) {
      if (!lies_there(work_ / name)) continue;
      if (lies_there(directory_ / name))
        throw Error(fmt::format("'{}' was put there meanwhile; move it away", (directory_ / name).string()));
      move_file(work_ / name, directory_ / name);
    }
  } catch (const Error&) {
    move_back();
    throw;
  }
}

void ResultWriter::move_back() const {
  const fs::path former = work_ / "former";
  const Change change = read_change(work_ / "complete");
  std::error_code ignored;
  for (const std::string& name : change.fresh)
    if (!lies_there(work_ / name) && (!has(change.former, name) || lies_there(former / name)))
      fs::rename(directory_ / name, work_ / name, ignored);
  for (const std::string& name : change.former)
    if (lies_there(former / name)) fs::rename(former / name, directory_ / name, ignored);
}

void ResultWriter::finish() {
  const Change change = read_change(work_ / "complete");
  std::error_code ignored;
  fs::remove(work_ / "complete", ignored);
  fs::remove_all(work_, ignored);
  for (const std::string& name : change.former)
    if (const fs::path folder = fs::path(name).parent_path(); !folder.empty())
      fs::remove(directory_ / folder, ignored);  // where nothing is in it any more
  started_ = whole_ = false;
}

void ResultWriter::discard() const {
  std::error_code ignored;
  if (started_ && !keeps_) fs::remove_all(work_, ignored);
  for (const fs::path& folder : missing_) fs::remove(folder, ignored);
}

}  // namespace dnateq
