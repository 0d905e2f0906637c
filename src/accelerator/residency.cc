#include "accelerator/residency.h"

#include <fmt/format.h>

#include <algorithm>

#include "dnateq/error.h"

namespace dnateq::accelerator {

std::vector<OutputPlan> plan_outputs(const Workload& workload, const Config& config, bool int8) {
  const size_t count = workload.layers.size();
  std::vector<OutputPlan> plans(count);
  std::vector<size_t> last_reader(count, 0);
  std::vector<int> bits(count, 0);
  for (size_t reader = 0; reader < count; ++reader) {
    const Layer& layer = workload.layers[reader];
    for (const auto& [producer, operand] :
         {std::pair{layer.producer, &layer.activations}, std::pair{layer.weight_producer, &layer.weights}}) {
      if (producer < 0) continue;
      if (producer >= static_cast<int>(reader)) {
        throw Error(fmt::format("layer {}: it reads layer {}, which does not come before it", layer.name, producer));
      }
      const auto index = static_cast<size_t>(producer);
      last_reader[index] = reader;
      bits[index] = std::max(bits[index], operand->stored_bits);
    }
  }
  const int64_t room = config.output_buffer.bytes * 8 / 2;
  std::vector<int64_t> taken(count, 0);  // bits a tile, while layer i runs
  for (size_t i = 0; i < count; ++i) {
    const Layer& layer = workload.layers[i];
    plans[i].bits = int8 ? 8 : bits[i] > 0 ? bits[i] : layer.activations.stored_bits;
    if (last_reader[i] == 0) continue;
    const int64_t size = (layer.output_elements * plans[i].bits + config.memory.vaults - 1) / config.memory.vaults;
    bool fits = true;
    for (size_t at = i + 1; at <= last_reader[i]; ++at) fits = fits && taken[at] + size <= room;
    if (!fits) continue;
    plans[i].stays = true;
    for (size_t at = i + 1; at <= last_reader[i]; ++at) taken[at] += size;
  }
  return plans;
}

}  // namespace dnateq::accelerator
