#include "job/allocate_job.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <vector>

#include "core/option.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

// Files and commands are those that the options name: the folder's are whatever its maker wrote there.
QuantizeArguments name_again(const AllocateOptions& given, const QuantizeArguments& noted) {
  QuantizeArguments again = arguments_of_result(given.from);
  std::vector<std::string> missing;
  const auto take = [&](const char* key, const std::string& mine, const std::string& theirs, std::string& to) {
    if (!mine.empty())
      to = mine;
    else if (to != theirs)
      missing.push_back(fmt::format("{} ('{}' there)", option(key), theirs));
  };
  take("model", given.model, noted.model, again.model);
  take("calibration", given.calibration, noted.calibration.path, again.calibration.path);
  take("text", given.text, noted.calibration.text, again.calibration.text);
  take("validation", given.validation, noted.validation, again.validation);
  take("labels", given.labels, noted.labels, again.labels);
  take("metric", given.metric, noted.metric, again.metric);
  if (!missing.empty())
    throw Error(fmt::format("'{}' notes files or commands outside of itself, which are not taken from there; give {}",
                            given.from, fmt::join(missing, ", ")));
  return again;
}

// Why losses of the two results cannot be compared; empty: they can.
std::string incomparable(const QuantizeArguments& again, const QuantizeArguments& noted) {
  const auto metric = [](const QuantizeArguments& a) {
    return !a.metric.empty() ? a.metric : a.labels.empty() ? std::string("cosine") : std::string("top1");
  };
  if (metric(again) != metric(noted))
    return fmt::format("was judged by the metric '{}', and this by '{}', so that their losses cannot be compared",
                       metric(noted), metric(again));
  const auto differ = [](const std::string& mine, const std::string& theirs) {
    return mine != theirs && (mine.empty() || theirs.empty() || std::filesystem::absolute(mine) != theirs);
  };
  if (differ(again.validation, noted.validation) || differ(again.labels, noted.labels))
    return "was judged on validation samples or labels of another path, so that their losses can be compared only if "
           "the files are the same";
  return {};
}

}  // namespace

FinishedJob run_allocate_job(const AllocateOptions& options, const JobSetting& setting) {
  const QuantizeArguments noted = noted_arguments(options.from);
  if (noted.calibration.path.empty() && noted.calibration.text.empty())
    throw Error(
        fmt::format("'{}' was calibrated by a Python program, whose samples are not kept; use dnateq.allocate there",
                    options.from));
  const bool limit = !options.max_drop.empty() || !options.max_loss.empty();
  if (options.target_bits.empty() != limit)
    throw Error(fmt::format("give either {} or {}", option("target_bits"), option("max_drop")));
  QuantizeArguments again = name_again(options, noted);
  again.target_bits = options.target_bits;
  again.max_drop = options.max_drop;
  again.drop_type = options.drop_type;
  again.max_loss = options.max_loss;
  again.require_certificate = options.require_certificate;
  FinishedJob job = run_allocate_job(options.from, options.directory, again, setting);
  if (const std::string why = incomparable(again, noted); !why.empty())
    job.note = fmt::format("'{}' {}", options.from, why);
  return job;
}

}  // namespace dnateq
