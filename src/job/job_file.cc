#include "job/job_file.h"

#include <fmt/format.h>

#include "core/document.h"

namespace dnateq {
namespace {

constexpr const char* kRemedy = "run dnateq quantize again";
constexpr int kLargestImage = 1 << 20, kLargestAxis = 7;

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
                        {"validation", absolute(a.validation)},
                        {"labels", a.labels == "names" ? a.labels : absolute(a.labels)},
                        {"metric", a.metric},
                        {"metric_range", a.metric_range},
                        {"strategy", a.strategy},
                        {"family", a.family},
                        {"emit", a.emit},
                        {"expect_m", a.expect_m},
                        {"weights_only", a.weights_only},
                        {"target_isa", a.target_isa},
                        {"only", a.only},
                        {"ignore", a.ignore},
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
  a.calibration.color = job.text("color");
  a.calibration.layout = job.text("layout");
  a.validation = job.text("validation");
  a.labels = job.text("labels");
  a.metric = job.text("metric");
  a.strategy = job.text("strategy");
  a.family = job.text("family");
  a.emit = job.text("emit");
  a.weights_only = job.boolean("weights_only");
  a.only = job.texts("only");
  a.ignore = job.texts("ignore");
  a.output_name = job.text("output");
  a.seed = job.unsigned_integer("seed");
  // Files of earlier versions lack these.
  if (job.has("batch_axis")) a.calibration.batch_axis = job.small_count("batch_axis", -1, kLargestAxis);
  if (job.has("metric_range")) a.metric_range = job.text("metric_range");
  if (job.has("expect_m")) a.expect_m = job.count("expect_m");
  if (job.has("target_isa")) a.target_isa = job.text("target_isa");
  if (job.has("untie")) a.untie = job.texts("untie");
  return a;
}

QuantizeArguments load_job(const std::filesystem::path& file) {
  return job_from_json(read_document_file(file, kRemedy), file.string());
}

}  // namespace dnateq
