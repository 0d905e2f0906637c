#include "quantize/search_run.h"

#include <fmt/format.h>

#include "core/option.h"
#include "dnateq/error.h"

namespace dnateq {

std::vector<std::unique_ptr<Network>> SearchRun::networks_of(ov::Core& core, const std::vector<NetworkInput>& inputs,
                                                             const QuantizeOptions& options) {
  std::vector<std::unique_ptr<Network>> networks;
  for (const NetworkInput& input : inputs) networks.push_back(std::make_unique<Network>(core, input, options));
  if (networks.size() > 1 && !is_external(metric_of(options)))
    throw Error("several networks are judged together by a metric of your own; give one");
  if (!options.int8_models.empty() && options.int8_models.size() != networks.size())
    throw Error("the metric judges all INT8 models together; give one of each network");
  if (networks.size() > 1 && options.strategy == "paper")
    throw Error(fmt::format("the paper's search knows one network; use {} for several", option("strategy", "optimal")));
  return networks;
}

SearchRun::SearchRun(ov::Core& core, const std::vector<NetworkInput>& inputs, const Samples* validation,
                     const std::vector<int64_t>& labels, const QuantizeOptions& given)
    : options(given),
      start(std::chrono::steady_clock::now()),
      networks(networks_of(core, inputs, options)),
      judge(core, networks, options),
      samples(networks, validation, labels, options, judge) {}

double SearchRun::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool SearchRun::out_of_time() const { return options.budget_seconds > 0 && seconds() > options.budget_seconds; }

void SearchRun::note_step(const Allocation& allocation, double loss, const std::string& note) {
  steps.push_back({allocation.weight_bits, allocation.activation_bits, loss, allocation.divergence, note});
}

}  // namespace dnateq
