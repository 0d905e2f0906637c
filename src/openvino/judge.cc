#include "openvino/judge.h"

#include <fmt/format.h>

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
    external_reference_ = options_.judge(original_files());
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
    found.score = options_.judge(models);
  } else {
    const std::vector<double> got = scores(only().emitted(codes.front(), emission), part, stage);
    const std::vector<double>& fp32 = fp32_scores(part);
    for (size_t i = 0; i < got.size(); ++i) found.losses.push_back(loss_of(metric_, fp32[i], got[i]));
    found.score = mean(got);
  }
  found.loss = loss_of(metric_, reference, found.score);
  return found;
}

double Judge::loss_of_one(size_t n, const Network::Codes& codes) {
  std::vector<std::filesystem::path> models = original_files();
  models[n] = networks_[n]->save_candidate(codes, networks_[n]->emissions().front());
  Part none;
  const double reference = reference_score(none);
  return loss_of(metric_, reference, options_.judge(models));
}

double Judge::int8_score(Part& part) {
  if (external()) return options_.judge({options_.int8_model});
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

}  // namespace dnateq
