#include "job/job_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>

#include "core/document.h"
#include "dnateq/code.h"
#include "dnateq/error.h"
#include "graph/evaluate.h"
#include "job/quantize_options.h"

namespace dnateq {
namespace {

constexpr const char* kRemedy = "run dnateq quantize again";
constexpr int kLargestImage = 1 << 20, kLargestAxis = 7;
constexpr int64_t kFewestTokens = 2, kMostTokens = 1 << 20;  // of a window

std::string one_of(const DocumentReader& job, const char* key, std::initializer_list<const char*> names) {
  std::string text = job.text(key);
  if (std::find(names.begin(), names.end(), text) == names.end())
    job.fail(fmt::format("'{}' is '{}', which is none of {}", key, text, fmt::join(names, ", ")));
  return text;
}

// Texts with a reader of their own, whose advice, behind a semicolon, is for those who give options.
template <class Read>
std::string readable(const DocumentReader& job, const char* key, Read read) {
  std::string text = job.text(key);
  try {
    read(text);
  } catch (const Error& error) {
    const std::string what = error.what();
    job.fail(fmt::format("'{}': {}", key, what.substr(0, what.rfind("; "))));
  }
  return text;
}

}  // namespace

std::string job_to_json(const QuantizeArguments& a, const std::string& model_fingerprint) {
  const auto absolute = [](const std::string& path) {
    return path.empty() ? path : std::filesystem::absolute(path).string();
  };
  const Document job = {{"model", absolute(a.model)},
                        {"model_fingerprint", model_fingerprint},
                        {"calibration", absolute(a.calibration.path)},
                        {"mean", a.calibration.mean},
                        {"std", a.calibration.std},
                        {"resize", a.calibration.resize},
                        {"crop", a.calibration.crop},
                        {"color", a.calibration.color},
                        {"layout", a.calibration.layout},
                        {"batch_axis", a.calibration.batch_axis},
                        {"text", absolute(a.calibration.text)},
                        {"context", a.calibration.context},
                        {"windows", a.calibration.windows},
                        {"of_folder", a.of_folder},
                        {"validation", absolute(a.validation)},
                        {"labels", a.labels == "names" ? a.labels : absolute(a.labels)},
                        {"metric", a.metric},
                        {"metric_range", a.metric_range},
                        {"strategy", a.strategy},
                        {"family", a.family},
                        {"emit", a.emit},
                        {"expect_rows", a.expect_rows},
                        {"weights_only", a.weights_only},
                        {"no_rotation", a.no_rotation},
                        {"target_isa", a.target_isa},
                        {"only", a.only},
                        {"ignore", a.ignore},
                        {"ignore_names", a.ignore_names},
                        {"ignore_types", a.ignore_types},
                        {"ignore_may_miss", a.ignore_may_miss},
                        {"untie", a.untie},
                        {"output", a.output_name},
                        {"seed", a.seed}};
  return job.dump(1);
}

QuantizeArguments job_from_json(std::string_view text, const std::string& source) {
  const Document document = parse_json(text, {source, kRemedy});
  const DocumentReader job(document, source, kRemedy);
  QuantizeArguments a;
  a.model = job.text("model");
  a.model_fingerprint = job.text("model_fingerprint");
  a.calibration.path = job.text("calibration");
  a.calibration.mean = job.text("mean");
  a.calibration.std = job.text("std");
  a.calibration.resize = job.small_count("resize", 0, kLargestImage);
  a.calibration.crop = job.small_count("crop", 0, kLargestImage);
  a.calibration.color = one_of(job, "color", {"rgb", "bgr", "gray"});
  a.calibration.layout = one_of(job, "layout", {"nchw", "nhwc"});
  a.validation = job.text("validation");
  a.labels = job.text("labels");
  a.metric = readable(job, "metric", [](const std::string& metric) {
    if (!metric.empty()) metric_from_string(metric);
  });
  a.strategy = one_of(job, "strategy", {"optimal", "paper", "uniform"});
  a.family = readable(job, "family", [](const std::string& family) { family_from_string(family, nullptr); });
  a.emit = readable(job, "emit", check_emit);
  a.weights_only = job.boolean("weights_only");
  a.only = job.texts("only");
  a.ignore = job.texts("ignore");
  a.output_name = job.text("output");
  a.seed = job.unsigned_integer("seed");
  // Files of earlier versions lack these.
  if (job.has("batch_axis")) a.calibration.batch_axis = job.small_count("batch_axis", -1, kLargestAxis);
  if (job.has("text")) {
    a.calibration.text = job.text("text");
    a.calibration.context = job.count("context", kFewestTokens, kMostTokens);
    a.calibration.windows = job.count("windows");
    a.of_folder = job.boolean("of_folder");
  }
  if (job.has("no_rotation")) a.no_rotation = job.boolean("no_rotation");
  if (job.has("metric_range")) a.metric_range = job.text("metric_range");
  for (const char* key : {"expect_m", "expect_rows"})  // the former name, and today's
    if (job.has(key)) a.expect_rows = job.count(key);
  if (job.has("target_isa")) a.target_isa = one_of(job, "target_isa", {"any", "vnni"});
  if (job.has("untie")) a.untie = job.texts("untie");
  if (job.has("ignore_names")) a.ignore_names = job.texts("ignore_names");
  if (job.has("ignore_types")) a.ignore_types = job.texts("ignore_types");
  if (job.has("ignore_may_miss")) a.ignore_may_miss = job.boolean("ignore_may_miss");
  return a;
}

QuantizeArguments load_job(const std::filesystem::path& file) {
  return job_from_json(read_document_file(file, kRemedy), file.string());
}

}  // namespace dnateq
