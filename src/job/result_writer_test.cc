#include "job/result_writer.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "dnateq/error.h"
#include "job/job_file.h"
#include "job/quantize_job.h"
#include "job/result_folder.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kJob = "measurements/job.json";

class ResultWriterTest : public testing::Test {
 protected:
  ResultWriterTest() {
    std::string name = (fs::temp_directory_path() / "dnateq-writer-XXXXXX").string();
    root_ = mkdtemp(name.data());
    out_ = root_ / "out";
  }
  ~ResultWriterTest() override { fs::remove_all(root_); }

  static void write(const fs::path& file, const std::string& text) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  static std::string text_of(const fs::path& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }

  static std::string job_of(const std::string& mark) {
    QuantizeArguments job;
    job.model = job.calibration.path = "/" + mark;
    return job_to_json(job, {});
  }

  // Files of a result whose text is `mark`, but for the recipe and the job.
  static void write_result(const fs::path& folder, const std::vector<std::string>& emissions, const std::string& mark) {
    Recipe recipe;
    recipe.model_file = mark;
    for (const std::string& emission : emissions) {
      EmissionResult one;
      one.emission = emission;
      recipe.emissions.push_back(one);
    }
    fs::create_directories(folder);
    save_recipe(recipe, folder / "recipe.dnateq.json");
    for (const std::string& name : files_of_result(recipe))
      if (name != "recipe.dnateq.json") write(folder / name, name == kJob ? job_of(mark) : mark);
  }

  void run(const std::vector<std::string>& emissions, const std::string& mark) const {
    ResultWriter writer(out_);
    writer.start(false);
    write_result(writer.work(), emissions, mark);
    writer.publish();
  }

  std::string refusal() const {
    try {
      const ResultWriter writer(out_);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  std::string mark_of_recipe() const { return load_recipe(out_ / "recipe.dnateq.json").model_file; }

  fs::path root_, out_;
};

TEST_F(ResultWriterTest, AResultAppearsWholeAndReplacesTheFormerOne) {
  {
    ResultWriter writer(out_);
    writer.start(false);
    write_result(writer.work(), {"exact", "cpu"}, "one");
    EXPECT_FALSE(fs::exists(out_ / "model.xml"));
    writer.publish();
  }
  EXPECT_FALSE(fs::exists(out_ / "unfinished"));
  EXPECT_EQ(text_of(out_ / "exact/model.bin"), "one");
  write(out_ / "notes.txt", "mine");
  write(out_ / "measurements/mine.csv", "mine");
  run({"standard"}, "two");
  EXPECT_EQ(mark_of_recipe(), "two");
  EXPECT_EQ(text_of(out_ / "model.bin"), "two");
  EXPECT_FALSE(fs::exists(out_ / "exact"));  // it was of the former result
  EXPECT_EQ(text_of(out_ / "notes.txt"), "mine");
  EXPECT_EQ(text_of(out_ / "measurements/mine.csv"), "mine");
  EXPECT_FALSE(fs::exists(out_ / "unfinished"));
}

TEST_F(ResultWriterTest, FilesThatNoRecipeSpeaksOfAreRefused) {
  for (const char* name : {"model.xml", "model.bin", "exact/model.xml", "report.html", "measurements/measurements.cbor",
                           "int8/model.xml"}) {
    write(out_ / name, "mine");
    EXPECT_THAT(refusal(), HasSubstr((out_ / name).string() + "' is of no result of dnateq")) << name;
    fs::remove_all(out_);
  }
  run({"exact"}, "one");  // alone: no folder of its own
  write(out_ / "exact/model.xml", "mine");
  EXPECT_THAT(refusal(), HasSubstr("exact/model.xml' is not of the result whose recipe lies there"));
  fs::remove_all(out_ / "exact");
  EXPECT_EQ(refusal(), "");
  write(out_ / "int8/model.xml", "mine");  // NNCF's would have made_of beside it
  EXPECT_THAT(refusal(), HasSubstr("int8/model.xml"));
  write(out_ / "int8/made_of", "0 0");
  EXPECT_EQ(refusal(), "");
  write(out_ / "recipe.dnateq.json", "{}");
  EXPECT_THAT(refusal(), HasSubstr("recipe.dnateq.json' is no recipe that dnateq can read"));
}

TEST_F(ResultWriterTest, ALanguageModelsResultHasTheFilesOfItsFolder) {
  const std::string mark = "smollm2/openvino_model.xml";
  run({"cpu"}, mark);
  EXPECT_EQ(text_of(out_ / "openvino_model.bin"), mark);
  EXPECT_EQ(text_of(out_ / "openvino_tokenizer.xml"), mark);
  EXPECT_EQ(text_of(out_ / "config.json"), mark);
  EXPECT_FALSE(fs::exists(out_ / "model.xml"));
  EXPECT_FALSE(fs::exists(out_ / "exact"));
  EXPECT_EQ(refusal(), "");
  run({"cpu", "exact"}, mark);
  EXPECT_EQ(text_of(out_ / "exact/openvino_model.xml"), mark);
  run({"cpu"}, "net.onnx");  // another network's result takes its place, whole
  EXPECT_EQ(text_of(out_ / "model.xml"), "net.onnx");
  for (const char* name : {"openvino_model.xml", "openvino_tokenizer.xml", "config.json", "exact"})
    EXPECT_FALSE(fs::exists(out_ / name)) << name;
  for (const char* name : {"openvino_model.xml", "openvino_tokenizer.bin", "config.json"}) {
    write(out_ / name, "mine");
    EXPECT_THAT(refusal_of_folder(out_, true),
                HasSubstr((out_ / name).string() + "' is not of the result whose recipe lies there"));
    fs::remove(out_ / name);
  }
}

TEST_F(ResultWriterTest, NamesOfALanguageModelsFilesAreFreeForOthers) {
  write(out_ / "config.json", "mine");
  EXPECT_EQ(refusal(), "");
  EXPECT_THAT(refusal_of_folder(out_, true), HasSubstr("config.json"));
  run({"cpu"}, "net.onnx");
  EXPECT_EQ(text_of(out_ / "config.json"), "mine");
}

TEST_F(ResultWriterTest, LinksAreNotFollowed) {
  fs::create_directories(root_ / "elsewhere");
  fs::create_directories(out_);
  for (const char* name : {"exact", "measurements", "int8", "unfinished"}) {
    fs::create_directory_symlink(root_ / "elsewhere", out_ / name);
    EXPECT_NE(refusal(), "") << name;
    fs::remove(out_ / name);
  }
  write(out_ / "unfinished/running", "");
  fs::create_directory_symlink(root_ / "elsewhere", out_ / "unfinished/measurements");
  EXPECT_THAT(refusal(), HasSubstr("measurements' is a link"));
  fs::remove(out_ / "unfinished/measurements");
  write(root_ / "elsewhere/file", "mine");
  run({"cpu"}, "one");
  fs::remove(out_ / "report.html");
  fs::create_symlink(root_ / "elsewhere/file", out_ / "report.html");
  run({"cpu"}, "two");  // the link is replaced, not what it leads to
  EXPECT_EQ(text_of(root_ / "elsewhere/file"), "mine");
  EXPECT_EQ(text_of(out_ / "report.html"), "two");
}

TEST_F(ResultWriterTest, AFolderThatIsCalledLikeOursStays) {
  write(out_ / "unfinished/novel.txt", "mine");
  EXPECT_THAT(refusal(), HasSubstr("unfinished' is no run of dnateq"));
  EXPECT_EQ(text_of(out_ / "unfinished/novel.txt"), "mine");
}

TEST_F(ResultWriterTest, AFailedRunLeavesTheFormerResultAndNoFolders) {
  run({"cpu"}, "one");
  {
    ResultWriter writer(out_);
    writer.start(false);
    write(writer.work() / "model.xml", "half");
    writer.discard();
  }
  EXPECT_EQ(text_of(out_ / "model.xml"), "one");
  EXPECT_EQ(mark_of_recipe(), "one");
  EXPECT_FALSE(fs::exists(out_ / "unfinished"));
  ResultWriter writer(root_ / "a/b");
  writer.start(false);
  writer.discard();
  EXPECT_FALSE(fs::exists(root_ / "a"));
}

TEST_F(ResultWriterTest, WhatIsResumedStaysWhenItFails) {
  {
    ResultWriter writer(out_);
    EXPECT_FALSE(writer.can_resume());
    writer.start(false);
    write(writer.work() / "measurements/measurements.cbor", "measured");
  }  // stopped
  {
    ResultWriter writer(out_);
    EXPECT_TRUE(writer.can_resume());
    writer.start(true);
    writer.discard();
  }
  EXPECT_EQ(text_of(out_ / "unfinished/measurements/measurements.cbor"), "measured");
  ResultWriter writer(out_);
  writer.start(false);  // anew
  EXPECT_FALSE(fs::exists(out_ / "unfinished/measurements/measurements.cbor"));
}

TEST_F(ResultWriterTest, AFinishedResultLendsItsMeasurements) {
  run({"cpu"}, "one");
  ResultWriter writer(out_);
  EXPECT_TRUE(writer.can_resume());
  writer.start(true);
  EXPECT_EQ(text_of(out_ / "unfinished/measurements/measurements.cbor"), "one");
  writer.discard();
  EXPECT_EQ(text_of(out_ / "measurements/measurements.cbor"), "one");
  EXPECT_FALSE(fs::exists(out_ / "unfinished"));
}

TEST_F(ResultWriterTest, OneRunAtATime) {
  ResultWriter writer(out_);
  writer.start(false);
  ResultWriter other(out_);
  try {
    other.start(true);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("another run of dnateq works in '" + out_.string()));
  }
  other.discard();
  EXPECT_TRUE(fs::exists(out_ / "unfinished/running"));
}

// Killed after any of the renames, the next one who opens the folder goes on.
TEST_F(ResultWriterTest, AResultThatWasBeingPutInPlaceIsCompleted) {
  const auto prepare = [&] {
    fs::remove_all(out_);
    write_result(out_, {"exact", "cpu"}, "old");
    write_result(out_ / "unfinished", {"cpu"}, "new");
    write(out_ / "unfinished/running", "");
    std::string names;
    for (const char* name : {"recipe.dnateq.json", "model.xml", "model.bin", "report.html", "measurements/job.json",
                             "measurements/measurements.cbor", "measurements/report.cbor"})
      names += std::string("new ") + name + "\nformer " + name + "\n";
    write(out_ / "unfinished/complete", names + "former exact/model.xml\nformer exact/model.bin\n");
  };
  const auto move = [](const fs::path& from, const fs::path& to) {
    fs::create_directories(to.parent_path());
    fs::rename(from, to);
  };
  const std::vector<std::string> former = {"recipe.dnateq.json", "model.xml", "model.bin", "report.html",
                                           "exact/model.xml"};
  const std::vector<std::string> fresh = {"measurements/report.cbor", "report.html", "model.bin"};
  for (size_t done = 0; done <= former.size() + fresh.size(); ++done) {
    prepare();
    for (size_t i = 0; i < std::min(done, former.size()); ++i)
      move(out_ / former[i], out_ / "unfinished/former" / former[i]);
    if (done > former.size())
      for (const char* rest :
           {"measurements/job.json", "measurements/measurements.cbor", "measurements/report.cbor", "exact/model.bin"})
        move(out_ / rest, out_ / "unfinished/former" / rest);
    for (size_t i = former.size(); i < done; ++i)
      move(out_ / "unfinished" / fresh[i - former.size()], out_ / fresh[i - former.size()]);
    EXPECT_EQ(load_result(out_).model_file, "new") << done;
    for (const char* name : {"model.xml", "model.bin", "report.html"})
      EXPECT_EQ(text_of(out_ / name), "new") << done << name;
    EXPECT_EQ(text_of(out_ / kJob), job_of("new")) << done;
    EXPECT_FALSE(fs::exists(out_ / "exact")) << done;
    EXPECT_FALSE(fs::exists(out_ / "unfinished")) << done;
  }
}

TEST_F(ResultWriterTest, NamesInAStoredListLeadNowhereElse) {
  write(root_ / "precious", "mine");
  for (const char* names : {"former ../precious\n", "new ../precious\n", "new notes.txt\n", "old model.xml\n"}) {
    write(out_ / "unfinished/running", "");
    write(out_ / "unfinished/complete", names);
    write(out_ / "notes.txt", "mine");
    EXPECT_THAT(refusal(), HasSubstr("complete' is damaged")) << names;
    EXPECT_EQ(text_of(root_ / "precious"), "mine");
    EXPECT_EQ(text_of(out_ / "notes.txt"), "mine");
  }
}

TEST_F(ResultWriterTest, WhatCannotBePutInPlaceLeavesTheFormerResult) {
  run({"cpu"}, "one");
  ResultWriter writer(out_);
  writer.start(false);
  write_result(writer.work(), {"cpu"}, "two");
  write(writer.work() / "former/measurements", "");  // where a folder is wanted
  EXPECT_THROW(writer.publish(), Error);
  EXPECT_EQ(mark_of_recipe(), "one");
  EXPECT_EQ(text_of(out_ / "model.xml"), "one");
  EXPECT_EQ(text_of(out_ / kJob), job_of("one"));
  EXPECT_EQ(text_of(writer.work() / "model.xml"), "two");
  fs::remove(writer.work() / "former/measurements");
  writer.publish();
  EXPECT_EQ(text_of(out_ / kJob), job_of("two"));
}

TEST_F(ResultWriterTest, AWholeResultThatIsRefusedStaysToBeResumed) {
  {
    ResultWriter writer(out_);
    writer.start(false);
    write_result(writer.work(), {"cpu"}, "new");
    EXPECT_FALSE(writer.whole());
    write(out_ / "report.html", "mine");
    EXPECT_THROW(writer.publish(), Error);
    EXPECT_TRUE(writer.whole());
  }
  EXPECT_EQ(text_of(out_ / "report.html"), "mine");
  fs::remove(out_ / "report.html");
  ResultWriter writer(out_);
  EXPECT_TRUE(writer.can_resume());
  writer.start(true);
  EXPECT_EQ(text_of(writer.work() / "model.xml"), "new");
  writer.publish();
  EXPECT_EQ(mark_of_recipe(), "new");
}

TEST_F(ResultWriterTest, OfSeveralAllArePublishedOrNone) {
  const auto write_both = [&](std::vector<ResultWriter>& folders, const std::string& mark) {
    for (const char* name : {"a", "b"}) {
      folders.emplace_back(out_ / name);
      folders.back().start(true);
      write_result(folders.back().work(), {"cpu"}, mark);
    }
  };
  std::vector<ResultWriter> first, second;
  write_both(first, "one");
  ResultWriter::publish_all(first);
  write_both(second, "two");
  write(out_ / "b/exact/model.xml", "mine");  // refused before anything moves
  EXPECT_THROW(ResultWriter::publish_all(second), Error);
  EXPECT_EQ(text_of(out_ / "a/model.xml"), "one");
  fs::remove_all(out_ / "b/exact");
  write(second[1].work() / "former/measurements", "");  // fails while it moves
  EXPECT_THROW(ResultWriter::publish_all(second), Error);
  for (const char* name : {"a", "b"}) {
    EXPECT_EQ(load_result(out_ / name).model_file, "one") << name;
    EXPECT_EQ(text_of(out_ / name / "model.xml"), "one") << name;
  }
  fs::remove(second[1].work() / "former/measurements");
  ResultWriter::publish_all(second);
  for (const char* name : {"a", "b"}) EXPECT_EQ(load_result(out_ / name).model_file, "two") << name;
}

TEST_F(ResultWriterTest, AnInt8ModelOfOtherFingerprintsGoes) {
  run({"cpu"}, "one");
  for (const bool same : {true, false}) {
    write(out_ / "int8/model.xml", "int8");
    write(out_ / "int8/made_of", same ? " " : "another network");  // the recipes here have no fingerprints
    EXPECT_EQ(noted_arguments(out_).int8, same ? (out_ / "int8/model.xml").string() : "none");
    run({"cpu"}, "two");
    EXPECT_EQ(fs::exists(out_ / "int8"), same);
  }
}

TEST_F(ResultWriterTest, WhatARunReadsIsNotReplaced) {
  write(out_ / "model.xml", "the network");
  try {
    spare(out_, out_ / "model.xml", "the network itself");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.xml' is the network itself, which the result would replace"));
  }
  spare(out_, root_ / "other.xml", "the network itself");
}

TEST_F(ResultWriterTest, SavingCopiesAResultAndNothingElse) {
  run({"exact", "cpu"}, "one");
  write(out_ / "notes.txt", "mine");
  const fs::path to = root_ / "copy";
  save_result(out_, to);
  EXPECT_EQ(text_of(to / "exact/model.bin"), "one");
  EXPECT_EQ(text_of(to / "measurements/measurements.cbor"), "one");
  EXPECT_FALSE(fs::exists(to / "notes.txt"));
  EXPECT_FALSE(fs::exists(to / "unfinished"));
  write(to / "unfinished/running", "");
  EXPECT_THROW(save_result(out_, to), Error);  // a run was stopped there
  EXPECT_TRUE(fs::exists(to / "unfinished/running"));
}

TEST_F(ResultWriterTest, FoldersThatAreNoResultAreToldApart) {
  const auto refusal = [](const fs::path& folder) -> std::string {
    try {
      check_result(folder);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_THAT(refusal(out_), HasSubstr("there is no folder"));
  fs::create_directories(out_);
  EXPECT_THAT(refusal(out_), HasSubstr("is empty"));
  write(out_ / "notes.txt", "mine");
  EXPECT_THAT(refusal(out_ / "notes.txt"), HasSubstr("is a file"));
  EXPECT_THAT(refusal(out_), HasSubstr("has no recipe.dnateq.json"));
  EXPECT_THAT(refusal(root_), AllOf(HasSubstr("has no recipe"), Not(HasSubstr("is none"))));
  write(out_ / "unfinished" / "running", "");
  EXPECT_THAT(refusal(out_), HasSubstr("stopped or still works"));
  EXPECT_THAT(refusal(out_ / "unfinished"), AllOf(HasSubstr("where a run works"), HasSubstr("give '" + out_.string())));
  write_result(out_, {"cpu", "exact"}, "new");
  EXPECT_EQ(refusal(out_), "");
  EXPECT_THAT(refusal(out_ / "exact" / ""), HasSubstr("part of the result '" + out_.string() + "'"));
  EXPECT_THAT(refusal(root_), AllOf(HasSubstr("is none"), HasSubstr("'" + out_.string() + "'")));
}

}  // namespace
}  // namespace dnateq
