#include "openvino/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "dnateq/error.h"

namespace dnateq {

Judge::Judge(ov::Core& core, const std::vector<std::unique_ptr<Network>>& networks, const QuantizeOptions& options)
    : core_(core), networks_(networks), options_(options), metric_(metric_of(options)) {}

std::string Judge::metric_name() const {
  return metric_ == Metric::kFunction ? options_.metric.substr(options_.metric.find(':') + 1) : to_string(metric_);
}

std::vector<std::filesystem::path> Judge::original_files() const {
  std::vector<std::filesystem::path> files;
  for (const auto& network : networks_) files.push_back(network->input().model_file);
  return files;
}

const std::vector<double>& Judge::fp32_scores(Part& part) {
  if (!part.reference)
    part.reference = run_output(core_, only().original().model, *part.calls, only().output(), options_.threads,
                                options_.progress, "running FP32");
  if (!part.fp32_scores) part.fp32_scores = score(metric_, *part.reference, *part.reference, part.labels);
  return *part.fp32_scores;
}

double Judge::reference_score(Part& part) {
  if (!external()) return mean(fp32_scores(part));
  if (!external_reference_) {
    external_reference_ = options_.judge(original_files()).score;
    if (*external_reference_ == 0 && options_.max_loss)
      throw Error(
          fmt::format("the metric {} is 0 for the FP32 network, and no loss relative to that can be told; add a "
                      "constant to it, or give --target-bits",
                      metric_name()));
  }
  return *external_reference_;
}

std::vector<double> Judge::scores(const std::shared_ptr<ov::Model>& model, Part& part, const std::string& stage) {
  fp32_scores(part);  // and the outputs that others are compared with
  const OutputValues outputs =
      run_output(core_, model, *part.calls, only().output(), options_.threads, options_.progress, stage);
  return score(metric_, outputs, *part.reference, part.labels);
}

EmissionLoss Judge::loss(const std::vector<Network::Codes>& codes, Emission emission, Part& part,
                         const std::string& stage) {
  EmissionLoss found;
  const double reference = reference_score(part);
  if (external()) {
    std::vector<std::filesystem::path> models;
    for (size_t n = 0; n < networks_.size(); ++n) models.push_back(networks_[n]->save_candidate(codes[n], emission));
    found.score = options_.judge(models).score;
  } else {
    const std::vector<double> got = scores(only().emitted(codes.front(), emission), part, stage);
    const std::vector<double>& fp32 = fp32_scores(part);
    for (size_t i = 0; i < got.size(); ++i) found.losses.push_back(loss_of(metric_, fp32[i], got[i]));
    found.score = mean(got);
  }
  found.loss = loss_of(metric_, reference, found.score);
  return found;
}

LossRange Judge::range(const Part& part) const {
  switch (metric_) {
    case Metric::kTop1:
    case Metric::kTop5:
      return LossRange::sign();
    case Metric::kAgreement: {  // FP32 agrees with itself; of samples of several rows a share may
      const OutputValues& fp32 = *part.reference;
      size_t rows = 0;
      for (size_t c = 0; c < fp32.values.size(); ++c) rows += fp32.values[c].size() / fp32.width[c];
      return rows == part.fp32_scores->size() ? LossRange::zero_or_one() : LossRange::bounded(0, 1);
    }
    case Metric::kCosine:  // FP32's cosine to itself is 1, rounding aside
      return LossRange::bounded(-1e-6, 2 + 1e-6);
    default:
      return LossRange::unbounded();
  }
}

std::optional<LossBound> Judge::bound(const EmissionLoss& found, const Part& part) const {
  if (found.losses.empty()) return {};
  return upper_bound(found.losses, range(part), kCertificateLevel, options_.seed);
}

bool Judge::can_certify(Part& part, double limit) {
  if (!part.calls) return false;
  fp32_scores(part);
  return within(least_upper_bound(range(part), part.calls->samples()), limit);
}

EmissionResult Judge::result_of(Emission emission, const EmissionLoss& found, const Part& part, bool certifies) const {
  EmissionResult result;
  result.emission = only().name_of(emission);
  result.score = found.score;
  result.loss = found.loss;
  result.samples = static_cast<int64_t>(found.losses.size());
  const std::optional<LossBound> sure = bound(found, part);
  if (!sure) return result;
  std::tie(result.low, result.high) =
      paired_interval(found.losses, std::vector<double>(found.losses.size()), options_.seed + 1);
  result.upper_bound = sure->upper;
  result.bound_method = sure->method;
  if (!options_.max_loss) return result;
  const double limit = *options_.max_loss;
  result.certified = certifies && within(sure->upper, limit);
  if (!within(sure->upper, limit))
    result.samples_needed =
        samples_needed(found.losses, range(part), limit, kCertificateLevel, options_.seed).value_or(0);
  return result;
}

double Judge::loss_of_one(size_t n, const Network::Codes& codes) {
  std::vector<std::filesystem::path> models = original_files();
  models[n] = networks_[n]->save_candidate(codes, networks_[n]->emissions().front());
  Part none;
  const double reference = reference_score(none);
  return loss_of(metric_, reference, options_.judge(models).score);
}

double Judge::int8_score(Part& part) {
  if (external()) return options_.judge({options_.int8_model}).score;
  std::shared_ptr<ov::Model> model;
  try {
    model = core_.read_model(options_.int8_model.string());
  } catch (const std::exception&) {
    throw Error(fmt::format("the INT8 model '{}' cannot be read; make it again or leave --int8 out",
                            options_.int8_model.string()));
  }
  if (model->outputs().size() != only().prepared().model->outputs().size())
    throw Error(fmt::format("'{}' has other outputs than '{}'; --int8 takes an INT8 model of the same network",
                            options_.int8_model.string(), only().prepared().file));
  return mean(scores(model, part, "judging INT8"));
}

void conclude(MetricResult& metric, const std::vector<EmissionResult>& emissions, double limit, int64_t searched) {
  metric.limit = limit;
  metric.certified = std::all_of(emissions.begin(), emissions.end(), [](const auto& e) { return e.certified; });
  const auto risk = [](const EmissionResult& e) {
    return std::pair(!e.certified, std::isnan(e.upper_bound) ? e.loss : e.upper_bound);
  };
  const EmissionResult& worst = *std::max_element(emissions.begin(), emissions.end(),
                                                  [&](const auto& a, const auto& b) { return risk(a) < risk(b); });
  const std::string may_lose =
      fmt::format("at 95 % {} may lose {:.4g} on unseen data", worst.emission, worst.upper_bound);
  if (metric.certified) {  // the limit, not the bound: that of the candidate taken is the best of those tested
    metric.verdict =
        fmt::format("certified: at 95 % no more is lost on unseen data like the {} samples judged on", worst.samples);
  } else if (worst.samples == 0) {
    metric.verdict = "not certified: the metric gives one number, not one a sample, which says nothing of chance";
  } else if (!metric.held_out) {
    metric.verdict = "not certified: the search saw the samples that were judged on; give more samples";
  } else if (worst.samples_needed > 0) {
    const int64_t leading = searched * worst.samples_needed / worst.samples;
    metric.verdict = fmt::format(
        "not certified: {}; about {} validation samples, {} of them to lead the search, would certify the {:.4g} found "
        "here",
        may_lose, worst.samples_needed + leading, leading, worst.loss);
  } else if (within(worst.upper_bound, limit)) {
    metric.verdict =
        "not certified: a candidate of more bits missed the limit on the samples that judge, which leaves "
        "this one unproven";
  } else {
    metric.verdict = fmt::format("not certified: {}, and loses {:.4g} on the samples judged on", may_lose, worst.loss);
  }
}

}  // namespace dnateq
