#include "quantize/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <span>
#include <tuple>
#include <utility>

#include "core/hash.h"
#include "core/option.h"
#include "data/split.h"
#include "dnateq/error.h"
#include "search/loss_search.h"  // within

namespace dnateq {
namespace {

constexpr double kCosineRounding = 1e-6;  // computed in float32

std::vector<double> picked(const std::vector<double>& values, const std::vector<int64_t>& numbers) {
  std::vector<double> result;
  for (const int64_t number : numbers) result.push_back(values[static_cast<size_t>(number)]);
  return result;
}

// Of a file's bytes, after `digest`; of none where there is no file.
uint64_t digest_of(const std::filesystem::path& file, uint64_t digest) {
  std::ifstream stream(file, std::ios::binary);
  std::vector<char> block(1 << 20);
  while (stream.read(block.data(), static_cast<std::streamsize>(block.size())), stream.gcount() > 0)
    digest = fnv1a(std::as_bytes(std::span(block.data(), static_cast<size_t>(stream.gcount()))), digest);
  return digest;
}

}  // namespace

Judge::Judge(ov::Core& core, const std::vector<std::unique_ptr<Network>>& networks, const QuantizeOptions& options)
    : core_(core),
      networks_(networks),
      options_(options),
      metric_(metric_of(options)),
      drop_type_(options.drop_type.value_or(usual_drop_type(metric_))) {}

std::string Judge::metric_name() const {
  return metric_ == Metric::kFunction ? options_.metric.substr(options_.metric.find(':') + 1) : to_string(metric_);
}

std::vector<std::filesystem::path> Judge::original_files() const {
  std::vector<std::filesystem::path> files;
  for (const auto& network : networks_) files.push_back(network->input().model_file);
  return files;
}

bool Judge::is_streamed() const {
  const bool compares = metric_ == Metric::kKl || metric_ == Metric::kCosine || metric_ == Metric::kAgreement;
  return compares && is_wide(std::as_const(*only().original().model).output(only().output()));
}

const std::vector<double>& Judge::fp32_scores(SampleSet& samples) {
  if (is_streamed()) {  // whatever compares with FP32 scores FP32 alike for every sample
    if (!samples.fp32_scores)
      samples.fp32_scores =
          std::vector<double>(static_cast<size_t>(samples.size()), metric_ == Metric::kKl ? 0.0 : 1.0);
    return *samples.fp32_scores;
  }
  if (!samples.reference)
    samples.reference = run_output(core_, only().original().model, *samples.calls, only().output(), options_.threads,
                                   options_.progress, "running FP32");
  if (!samples.fp32_scores)
    samples.fp32_scores = score(metric_, *samples.reference, *samples.reference, samples.labels);
  return *samples.fp32_scores;
}

const ExternalScore& Judge::external_reference() {
  if (!external_reference_) {
    external_reference_ = options_.judge(original_files());
    const bool zero = external_reference_->score == 0 ||
                      (!external_reference_->per_sample.empty() && mean(external_reference_->per_sample) == 0);
    if (zero && options_.max_loss && relative())
      throw Error(fmt::format(
          "the metric {} is 0 for the FP32 network, and no loss relative to that can be told; give {} with {}, or {}",
          metric_name(), option("max_drop"), option("drop_type", "absolute"), option("target_bits")));
  }
  return *external_reference_;
}

std::vector<double> Judge::reference_scores(const SampleSet& samples) const {
  return external() ? picked(external_reference_->per_sample, samples.of_metric) : *samples.fp32_scores;
}

double Judge::base_of(const std::vector<double>& reference) const {
  if (!relative()) return 1;
  const double base = std::fabs(mean(reference));
  if (base == 0)
    throw Error(
        fmt::format("the metric {} is 0 for the FP32 network on the samples that judge, and no loss relative to that "
                    "can be told; give more samples, or {} with {}",
                    metric_name(), option("max_drop"), option("drop_type", "absolute")));
  return base;
}

size_t Judge::metric_samples() { return external() ? external_reference().per_sample.size() : 0; }

double Judge::reference_score(SampleSet& samples) {
  if (!external()) return mean(fp32_scores(samples));
  const ExternalScore& fp32 = external_reference();
  return samples.of_metric.empty() || fp32.has_score_of_its_own() ? fp32.score
                                                                  : mean(picked(fp32.per_sample, samples.of_metric));
}

ExternalScore Judge::ask(const std::vector<std::filesystem::path>& models) {
  uint64_t key = kFnvStart;
  for (const std::filesystem::path& model : models) {
    const std::string path = model.string();  // too: the same network may stand in two places
    key = fnv1a(std::as_bytes(std::span(path.data(), path.size())), key);
    for (const char* extension : {".xml", ".bin"})
      key = digest_of(std::filesystem::path(model).replace_extension(extension), key);
  }
  if (const auto known = said_.find(key); known != said_.end()) return known->second;
  const ExternalScore said = options_.judge(models);
  const size_t wanted = external_reference().per_sample.size();
  if (said.per_sample.size() != wanted)
    throw Error(
        fmt::format("the metric {} scores {} samples of the FP32 network and {} of a candidate; it must score the "
                    "same samples in the same order every time",
                    metric_name(), wanted, said.per_sample.size()));
  said_[key] = said;
  return said;
}

// Beside those of the samples a score of its own is held to the limit as well: what is lost is the
// more of the two. Nothing bounds it, though.
EmissionLoss Judge::external_loss(const ExternalScore& said, SampleSet& samples) {
  EmissionLoss found;
  const ExternalScore& fp32 = external_reference();
  found.score = said.score;
  found.loss = loss_of(metric_, drop_type_, fp32.score, said.score);
  if (samples.of_metric.empty()) return found;
  const std::vector<double> wanted = reference_scores(samples);
  found.scores = picked(said.per_sample, samples.of_metric);
  const double base = base_of(wanted);
  for (size_t i = 0; i < wanted.size(); ++i) found.losses.push_back((wanted[i] - found.scores[i]) / base);
  const double mean_loss = mean(found.losses);
  if (fp32.has_score_of_its_own()) {
    found.loss = std::max(found.loss, mean_loss);
  } else {
    found.score = mean(found.scores);
    found.loss = mean_loss;
  }
  return found;
}

std::vector<double> Judge::scores(const std::shared_ptr<ov::Model>& model, SampleSet& samples,
                                  const std::string& stage) {
  if (is_streamed())
    return score_beside(core_, model, only().original().model, *samples.calls, only().output(), metric_,
                        options_.threads, options_.progress, stage);
  fp32_scores(samples);  // and the outputs that others are compared with
  const OutputValues outputs =
      run_output(core_, model, *samples.calls, only().output(), options_.threads, options_.progress, stage);
  return score(metric_, outputs, *samples.reference, samples.labels);
}

EmissionLoss Judge::loss(const std::vector<Network::Codes>& codes, Emission emission, SampleSet& samples,
                         const std::string& stage) {
  if (external()) {
    external_reference();  // first
    std::vector<std::filesystem::path> models;
    for (size_t n = 0; n < networks_.size(); ++n) models.push_back(networks_[n]->save_candidate(codes[n], emission));
    return external_loss(ask(models), samples);
  }
  EmissionLoss found;
  const double reference = reference_score(samples);
  found.scores = scores(only().emitted(codes.front(), emission), samples, stage);
  const std::vector<double>& fp32 = fp32_scores(samples);
  const double base = base_of(fp32);
  for (size_t i = 0; i < fp32.size(); ++i)
    found.losses.push_back(loss_of(metric_, DropType::kAbsolute, fp32[i], found.scores[i]) / base);
  found.score = mean(found.scores);
  found.loss = loss_of(metric_, drop_type_, reference, found.score);
  return found;
}

LossRange Judge::range(const SampleSet& samples) const {
  switch (metric_) {
    case Metric::kTop1:
    case Metric::kTop5:
      return LossRange::sign();
    case Metric::kAgreement: {  // FP32 agrees with itself; of samples of several rows a share may
      if (!samples.reference) return LossRange::bounded(0, 1);
      const OutputValues& fp32 = *samples.reference;
      size_t rows = 0;
      for (size_t c = 0; c < fp32.values.size(); ++c) rows += fp32.values[c].size() / fp32.width[c];
      return rows == samples.fp32_scores->size() ? LossRange::zero_or_one() : LossRange::bounded(0, 1);
    }
    case Metric::kCosine:  // FP32's cosine to itself is 1
      return LossRange::bounded(-kCosineRounding, 2 + kCosineRounding);
    case Metric::kCommand:
    case Metric::kFunction: {
      const ScoreRange& score = options_.metric_range;
      return score.known ? LossRange::bounded(score.lowest - score.highest, score.highest - score.lowest)
                         : LossRange::unbounded();
    }
    case Metric::kKl:
      break;
  }
  return LossRange::unbounded();
}

ScoreRange Judge::score_range() const {
  switch (metric_) {
    case Metric::kTop1:
    case Metric::kTop5:
    case Metric::kAgreement:
      return {true, 0, 1};
    case Metric::kCosine:
      return {true, -1 - kCosineRounding, 1 + kCosineRounding};
    case Metric::kKl:
      return {};
    case Metric::kCommand:
    case Metric::kFunction:
      break;
  }
  return options_.metric_range;
}

std::optional<LossBound> Judge::bound(const EmissionLoss& found, const SampleSet& samples) const {
  if (found.losses.empty()) return {};
  if (relative())
    return relative_upper_bound(reference_scores(samples), found.scores, score_range(), kCertificateLevel,
                                options_.seed);
  return upper_bound(found.losses, range(samples), kCertificateLevel, options_.seed);
}

bool Judge::can_certify(SampleSet& samples, double limit) {
  if (external()) {
    if (external_reference().has_score_of_its_own()) return false;
  } else {
    fp32_scores(samples);
  }
  const std::vector<double> fp32 = reference_scores(samples);
  if (fp32.empty()) return false;
  if (relative())  // what a candidate's bound would be that gives every sample FP32's score
    return within(relative_upper_bound(fp32, fp32, score_range()).upper, limit);
  return within(least_upper_bound(range(samples), static_cast<int64_t>(fp32.size())), limit);
}

EmissionResult Judge::result_of(Emission emission, const EmissionLoss& found, const SampleSet& samples, bool held_out,
                                bool certifies) const {
  EmissionResult result;
  result.emission = only().name_of(emission);
  result.score = found.score;
  result.loss = found.loss;
  result.samples = static_cast<int64_t>(found.losses.size());
  const std::optional<LossBound> sure = bound(found, samples);
  if (!sure) return result;
  std::tie(result.low, result.high) =
      paired_interval(found.losses, std::vector<double>(found.losses.size()), options_.seed + 1);
  if (!held_out || (external() && external_reference_->has_score_of_its_own())) return result;
  result.upper_bound = sure->upper;
  result.bound_method = sure->method;
  if (!options_.max_loss) return result;
  const double limit = *options_.max_loss;
  result.certified = certifies && within(sure->upper, limit);
  if (!within(sure->upper, limit))
    result.samples_needed =
        (relative() ? relative_samples_needed(reference_scores(samples), found.scores, score_range(), limit,
                                              kCertificateLevel, options_.seed)
                    : samples_needed(found.losses, range(samples), limit, kCertificateLevel, options_.seed))
            .value_or(0);
  return result;
}

double Judge::loss_of_one(size_t n, const Network::Codes& codes) {
  std::vector<std::filesystem::path> models = original_files();
  models[n] = networks_[n]->save_candidate(codes, networks_[n]->emissions().front());
  return loss_of(metric_, drop_type_, external_reference().score, ask(models).score);
}

double Judge::int8_score(SampleSet& samples) {
  if (external()) {
    const ExternalScore said = options_.judge(options_.int8_models);
    const bool same_samples = said.per_sample.size() == metric_samples() && !samples.of_metric.empty();
    return same_samples && !said.has_score_of_its_own() ? mean(picked(said.per_sample, samples.of_metric)) : said.score;
  }
  const std::string file = options_.int8_models.front().string();  // one network: no other metric takes several
  std::shared_ptr<ov::Model> model;
  try {
    model = core_.read_model(file);
  } catch (const std::exception&) {
    throw Error(fmt::format("the INT8 model '{}' cannot be read; make it again or remove it", file));
  }
  if (model->outputs().size() != only().prepared().model->outputs().size())
    throw Error(
        fmt::format("'{}' has other outputs than '{}'; the INT8 model to compare with must be of the same network",
                    file, only().prepared().file));
  return mean(scores(model, samples, "judging INT8"));
}

void conclude(MetricResult& metric, const std::vector<EmissionResult>& emissions, double limit, int64_t searched) {
  metric.limit = limit;
  metric.certified = std::all_of(emissions.begin(), emissions.end(), [](const auto& e) { return e.certified; });
  const auto risk = [](const EmissionResult& e) {
    return std::pair(!e.certified, std::isnan(e.upper_bound) ? e.loss : e.upper_bound);
  };
  const EmissionResult& worst = *std::max_element(emissions.begin(), emissions.end(),
                                                  [&](const auto& a, const auto& b) { return risk(a) < risk(b); });
  const bool from_metric = metric.samples_from == kMetricsOwnSamples;
  const std::string may_lose =
      std::isfinite(worst.upper_bound)
          ? fmt::format("at 95 % {} may lose {:.4g} on unseen data", worst.emission, worst.upper_bound)
          : fmt::format("{} samples do not bound what {} may lose on unseen data", worst.samples, worst.emission);
  if (metric.certified) {  // the limit, not the bound: that of the candidate taken is the best of those tested
    metric.verdict = fmt::format("certified: at 95 % ({}) no more is lost on unseen data like the {} samples judged on",
                                 worst.bound_method, worst.samples);
  } else if (worst.samples == 0) {
    metric.verdict = "not certified: the metric gives one number, not one a sample, which says nothing of chance";
  } else if (!metric.held_out) {
    metric.verdict = "not certified: the search saw the samples that were judged on; give more samples";
  } else if (std::isnan(worst.upper_bound)) {
    metric.verdict =
        "not certified: the metric's score is not the mean of its samples' scores, and nothing bounds what it loses";
  } else if (worst.samples_needed > 0) {
    const int64_t leading = searched * worst.samples_needed / worst.samples;
    metric.verdict = fmt::format(
        "not certified: {}; about {} {}, {} of them to lead the search, would certify the {:.4g} found here", may_lose,
        worst.samples_needed + leading, from_metric ? "samples of the metric" : "validation samples", leading,
        worst.loss);
  } else if (within(worst.upper_bound, limit)) {
    metric.verdict =
        "not certified: a candidate of more bits missed the limit on the samples that judge, which leaves "
        "this one unproven";
  } else {
    metric.verdict = fmt::format("not certified: {}, and loses {:.4g} on the samples judged on", may_lose, worst.loss);
  }
  const EmissionResult& most = *std::max_element(emissions.begin(), emissions.end(),
                                                 [](const auto& a, const auto& b) { return a.loss < b.loss; });
  if (!metric.certified && most.loss > limit && !within(most.loss, limit))  // NaN was not judged
    metric.verdict = fmt::format(
        "missed: {} loses {:.4g} on the samples judged on; ask for a loss below {:.4g}, or give more samples; {}",
        most.emission, most.loss, limit, metric.verdict);
}

}  // namespace dnateq
