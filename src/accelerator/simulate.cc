#include "accelerator/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "accelerator/pe.h"
#include "accelerator/residency.h"
#include "accelerator/tile_run.h"
#include "accelerator/tiling.h"
#include "dnateq/error.h"

namespace dnateq::accelerator {
namespace {

constexpr int64_t kPartialSumBits = 32;  // what a flush adds to, in the output buffer

// As many bursts as these bits take, in bytes.
int64_t burst_bytes(int64_t values, int bits, const MemoryConfig& memory) {
  const int64_t burst_bits = memory.burst_bytes * 8;
  return (values * bits + burst_bits - 1) / burst_bits * memory.burst_bytes;
}

void check_layer(const Layer& layer) {
  const auto wrong = [&](const char* what, int64_t value) {
    throw Error(fmt::format("layer {}: its {} are {}: they must be 1 to 10^12", layer.name, what, value));
  };
  constexpr int64_t kMost = 1'000'000'000'000;
  for (const auto& [what, value] :
       {std::pair{"groups", layer.groups}, std::pair{"rows", layer.rows}, std::pair{"inputs", layer.inputs},
        std::pair{"outputs", layer.outputs}, std::pair{"repeats", layer.repeats},
        std::pair{"input elements", layer.input_elements}, std::pair{"weight elements", layer.weight_elements},
        std::pair{"output elements", layer.output_elements}}) {
    if (value < 1 || value > kMost) wrong(what, value);
  }
  // Bits of a layer's products stay within int64_t.
  if (static_cast<double>(layer.groups) * static_cast<double>(layer.rows) * static_cast<double>(layer.inputs) *
          static_cast<double>(layer.outputs) * static_cast<double>(layer.repeats) >
      1e16) {
    throw Error(fmt::format("layer {}: more than 10^16 multiply-accumulates: take a smaller batch", layer.name));
  }
  const Geometry& g = layer.geometry;
  const bool sound = g.input_height > 0 && g.input_width > 0 && g.output_height > 0 && g.kernel_height > 0 &&
                     g.kernel_width > 0 && g.stride_height > 0 && g.stride_width > 0;
  if (g.known() && (!sound || layer.rows % (g.output_height * g.output_width) != 0)) {
    throw Error(fmt::format("layer {}: its geometry has a size below 1, or outputs that are not its {} rows",
                            layer.name, layer.rows));
  }
  for (const auto& [operand, what] :
       {std::pair{&layer.weights, "weights"}, std::pair{&layer.activations, "activations"}}) {
    if (operand->stored_bits < 1 || operand->stored_bits > 16) {
      throw Error(fmt::format("layer {}: its {} have {} stored bits: 1 to 16 are possible", layer.name, what,
                              operand->stored_bits));
    }
    if (!(operand->zero_fraction >= 0 && operand->zero_fraction <= 1)) {
      throw Error(fmt::format("layer {}: the zero fraction of its {} is {}: it must be 0 to 1", layer.name, what,
                              operand->zero_fraction));
    }
  }
}

// The array that is built: for the widest part that any layer needs. A layer of fewer bits runs on it and takes its
// energy a pair: at gate level, lanes for n = 5 that are given codes of n = 3 take 0.8 (counting-beta0, shift q = 8) to
// 1.14 times (shift q = 2) what they take with their own, and not the half that a lane of n = 3 takes. Post-processing
// reads only the rows that the layer's codes reach.
struct Units {
  const Part *lane = nullptr, *post = nullptr, *quantizer = nullptr;

  void hold(const ProcessingElement& pe) {
    lane = wider(lane, pe.lane);
    post = wider(post, pe.post);
    quantizer = wider(quantizer, pe.quantizer);
  }

 private:
  static const Part* wider(const Part* a, const Part* b) { return a == nullptr || b->area_um2 > a->area_um2 ? b : a; }
};

// As many INT8 lanes, post-processors and quantizers beside the design's own, where a layer needs them.
struct Built {
  ArraySize array;
  Units own, int8;
};

Built build(const Config& config, Design design, const Workload& workload,
            const std::vector<ProcessingElement>& elements) {
  Built built;
  for (size_t i = 0; i < elements.size(); ++i)
    (workload.layers[i].int8_lanes && design != Design::kInt8 ? built.int8 : built.own).hold(elements[i]);
  built.array = {config.array.rows, config.array.columns};
  if (config.array.sizing == "same-area" && design != Design::kInt8) {
    const double int8 = config.energies.find("lane", Design::kInt8, 0, "").area_um2;
    double lanes = 0;
    for (const Units* units : {&built.own, &built.int8}) lanes += units->lane != nullptr ? units->lane->area_um2 : 0;
    if (lanes > 0) {
      const double columns = static_cast<double>(config.array.columns) * int8 / lanes;
      built.array.columns = std::clamp<int64_t>(static_cast<int64_t>(columns), 1, 65536);
    }
  }
  return built;
}

class Simulation {
 public:
  Simulation(const Workload& workload, const Config& config, Design design)
      : workload_(workload), config_(config), design_(design), int8_(design == Design::kInt8) {}

  DesignResult run() {
    if (workload_.layers.empty()) throw Error(fmt::format("{} has no layers to simulate", workload_.name));
    std::vector<ProcessingElement> elements;
    for (const Layer& layer : workload_.layers) {
      check_layer(layer);
      elements.push_back(processing_element(config_, design_, layer));
    }
    built_ = build(config_, design_, workload_, elements);
    for (size_t i = 0; i < elements.size(); ++i) {
      const Units& units = units_of(workload_.layers[i]);
      elements[i] = on_parts(config_, elements[i], *units.lane, *units.post, *units.quantizer);
    }
    outputs_ = plan_outputs(workload_, config_, int8_);
    tiles_ = config_.memory.vaults;

    DesignResult result;
    result.design = design_;
    result.lanes = tiles_ * built_.array.rows * built_.array.columns;
    result.peak_macs_per_cycle = result.lanes;
    result.clock_mhz = config_.array.clock_mhz;
    result.area_um2 = area(result.lanes);
    if (built_.own.lane != nullptr) result.lane = *built_.own.lane;
    if (built_.int8.lane != nullptr) result.int8_lane = *built_.int8.lane;
    for (size_t i = 0; i < workload_.layers.size(); ++i) result.layers.push_back(layer_result(i, elements[i]));
    return result;
  }

 private:
  const Units& units_of(const Layer& layer) const { return layer.int8_lanes && !int8_ ? built_.int8 : built_.own; }

  struct Run {  // of one repeat
    Tiling tiling;
    TileRun tile;
  };

  const Run& run_of(size_t index, const ProcessingElement& pe, const OperandBits& bits) {
    const Layer& layer = workload_.layers[index];
    const Geometry& g = layer.geometry;
    const OutputPlan& output = outputs_[index];
    // Networks repeat their blocks: the same sizes, bits and lane give the same run.
    const std::vector<int64_t> key = {layer.kind == LayerKind::kMatMul,
                                      layer.groups,
                                      layer.rows,
                                      layer.inputs,
                                      layer.outputs,
                                      layer.input_elements,
                                      layer.output_elements,
                                      g.input_height,
                                      g.input_width,
                                      g.output_height,
                                      g.output_width,
                                      g.kernel_height,
                                      g.kernel_width,
                                      g.stride_height,
                                      g.stride_width,
                                      bits.weights,
                                      bits.inputs,
                                      bits.weights_on_chip,
                                      bits.inputs_on_chip,
                                      output.bits,
                                      output.stays,
                                      pe.post_cycles,
                                      pe.quantizer_cycles,
                                      pe.flush_after};
    const auto found = runs_.find(key);
    if (found != runs_.end()) return found->second;
    Run run = best_run(layer, pe, bits, output);
    return runs_.emplace(key, run).first->second;
  }

  Run run_with(const Layer& layer, const ProcessingElement& pe, const OperandBits& bits, const OutputPlan& output,
               const Tiling& t) const {
    const int64_t of_tile = t.groups * t.rows * t.outputs, all = layer.groups * layer.rows * layer.outputs;
    const auto written = static_cast<int64_t>(static_cast<__int128>(layer.output_elements) * of_tile / all);
    return {t, run_tile({.config = config_,
                         .layer = layer,
                         .tiling = t,
                         .pe = pe,
                         .bits = bits,
                         .array = built_.array,
                         .output_bits = output.bits,
                         .output_values = written,
                         .outputs_stay = output.stays})};
  }

  // What fits at 8 bits fits at fewer. So narrow operands begin with the tiling for 8 bits, and bit by bit change to
  // another only if it costs no more in folds, traffic and cycles: fewer bits never cost more. The cycles are those of
  // a lane that needs no post-processing, so that the choice at one width doesn't depend on the design.
  Run best_run(const Layer& layer, const ProcessingElement& pe, const OperandBits& bits,
               const OutputPlan& output) const {
    ProcessingElement lane;
    lane.flush_after = std::numeric_limits<int64_t>::max();
    OperandBits at = bits;
    std::optional<Tiling> best;
    for (int width = std::max({8, bits.weights, bits.inputs}); width >= std::min({8, bits.weights, bits.inputs});
         --width) {
      at.weights = std::max(width, bits.weights);
      at.inputs = std::max(width, bits.inputs);
      const Tiling other = tile(layer, at, config_, built_.array);
      if (!best) best = other;
      if (other == *best || !costs_no_more(other, *best, at)) continue;
      const auto cycles = [&](const Tiling& t) { return run_with(layer, lane, at, {}, t).tile.cycles.total(); };
      if (cycles(other) <= cycles(*best)) best = other;
    }
    return run_with(layer, pe, bits, output, *best);
  }

  OperandBits bits_of(const Layer& layer) const {
    const auto stays = [&](int producer) { return producer >= 0 && outputs_[static_cast<size_t>(producer)].stays; };
    return {.weights = int8_ ? 8 : layer.weights.stored_bits,
            .inputs = int8_ ? 8 : layer.activations.stored_bits,
            .weights_on_chip = stays(layer.weight_producer),
            .inputs_on_chip = stays(layer.producer)};
  }

  LayerResult layer_result(size_t index, const ProcessingElement& pe) {
    const Layer& layer = workload_.layers[index];
    const OperandBits bits = bits_of(layer);
    const Run& run = run_of(index, pe, bits);
    const int64_t repeats = layer.repeats;
    LayerResult result;
    result.name = layer.name;
    result.macs = layer.macs();
    result.int8_lanes = design_ != Design::kInt8 && layer.int8_lanes;
    result.cut = run.tiling.cut_text();
    result.folds = run.tiling.folds() * repeats;
    const CycleSplit& cycles = run.tile.cycles;
    result.cycles = {cycles.compute * repeats, cycles.memory_stall * repeats, cycles.post_processing * repeats,
                     cycles.drain * repeats};
    const MemoryConfig& memory = config_.memory;
    const auto moved = [&](int64_t values, int value_bits, bool on_chip) {
      return on_chip ? 0 : burst_bytes(values, value_bits, memory) * repeats;
    };
    const OutputPlan& output = outputs_[index];
    result.bytes = {moved(run.tiling.fetched_weights, bits.weights, bits.weights_on_chip),
                    moved(run.tiling.fetched_inputs, bits.inputs, bits.inputs_on_chip),
                    moved(layer.output_elements, output.bits, output.stays)};
    const auto least = [&](int64_t values, int value_bits, bool on_chip) {
      return on_chip ? 0 : (values * value_bits + 7) / 8 * repeats;
    };
    const int64_t distinct_inputs = std::min(layer.groups * inputs_of(layer, 0, layer.rows), layer.input_elements);
    result.compulsory = {least(layer.groups * layer.inputs * layer.outputs, bits.weights, bits.weights_on_chip),
                         least(distinct_inputs, bits.inputs, bits.inputs_on_chip),
                         least(layer.output_elements, output.bits, output.stays)};
    result.flushes = layer.groups * layer.rows * layer.outputs * pe.flushes(layer.inputs) * repeats;
    result.energy_pj = energy(layer, pe, bits, output, run.tiling, result);
    result.bound = bound(result.cycles);
    return result;
  }

  static std::string bound(const CycleSplit& cycles) {
    const int64_t compute = cycles.compute + cycles.drain;
    if (cycles.memory_stall > compute && cycles.memory_stall >= cycles.post_processing) return "memory";
    return cycles.post_processing > compute ? "post-processing" : "compute";
  }

  Energy energy(const Layer& layer, const ProcessingElement& pe, const OperandBits& bits, const OutputPlan& output,
                const Tiling& tiling, const LayerResult& result) const {
    const auto times = static_cast<double>(layer.repeats);
    const double scale = config_.energies.energy_scale;
    const auto words = [](double value_bits, const BufferConfig& buffer) {
      return value_bits / 8 / static_cast<double>(buffer.word_bytes);
    };
    const auto product = [](int64_t values, int64_t width) {
      return static_cast<double>(values) * static_cast<double>(width);
    };
    const double weights = product(tiling.fetched_weights, bits.weights),
                 inputs = product(tiling.fetched_inputs, bits.inputs);
    const double out = product(layer.output_elements, output.bits);
    const auto outputs = static_cast<double>(layer.groups * layer.rows * layer.outputs);
    const auto flushes = static_cast<double>(result.flushes) / times;
    // A broadcast fills every reader's buffer.
    const double weight_fills = weights * static_cast<double>(tiling.cut.rows);
    const double input_fills = inputs * static_cast<double>(tiling.cut.outputs);

    Energy pj;
    pj["dram"] = static_cast<double>(result.bytes.total()) * 8 * config_.memory.access_pj_per_bit;
    const BufferConfig &ib = config_.input_buffer, &wb = config_.weight_buffer, &ob = config_.output_buffer;
    pj["input_buffer"] = times * (words(input_fills, ib) * ib.write_pj_per_word +
                                  words(product(tiling.array_input_reads, bits.inputs), ib) * ib.read_pj_per_word);
    pj["weight_buffer"] = times * (words(weight_fills, wb) * wb.write_pj_per_word +
                                   words(product(tiling.array_weight_reads, bits.weights), wb) * wb.read_pj_per_word);
    // Written once and read once on its way to memory; what stayed is read by its readers. A flush reads and writes a
    // partial sum.
    const double kept_reads = (bits.inputs_on_chip ? inputs : 0) + (bits.weights_on_chip ? weights : 0);
    const double partial = flushes * kPartialSumBits;
    pj["output_buffer"] = times * (words(out + partial, ob) * ob.write_pj_per_word +
                                   words((output.stays ? 0 : out) + partial + kept_reads, ob) * ob.read_pj_per_word);
    // Each delivery to another tile counts. Outputs go to the vault of who reads them; what stayed comes from any tile.
    const double sent =
        weights * static_cast<double>(bits.weights_on_chip ? tiling.cut.rows : tiling.cut.rows - 1) +
        inputs * static_cast<double>(bits.inputs_on_chip ? tiling.cut.outputs : tiling.cut.outputs - 1) +
        (output.stays || tiling.cut.tiles() == 1 ? 0 : out);
    pj["network"] = times * sent * config_.network.pj_per_bit;
    const double idle = 1 - (1 - layer.weights.zero_fraction) * (1 - layer.activations.zero_fraction);
    pj["lanes"] =
        static_cast<double>(result.macs) * (idle * pe.lane->idle_pj + (1 - idle) * pe.lane->active_pj) * scale;
    pj["post"] = times * (outputs + flushes) * static_cast<double>(pe.post_steps) * pe.post->active_pj * scale;
    pj["quantizers"] = times * outputs * pe.quantizer->active_pj * scale;
    const double ns = static_cast<double>(result.cycles.total()) * 1000 / config_.array.clock_mhz;
    pj["dram_background"] = ns * config_.memory.background_mw_per_vault * static_cast<double>(tiles_);  // mW ns = pJ
    pj["leakage"] = ns * leakage_mw();
    return pj;
  }

  double copies() const { return config_.array.double_buffered_counters ? 2 : 1; }

  double leakage_mw() const {
    const auto lanes = static_cast<double>(built_.array.rows * built_.array.columns);
    double nw = 0;
    for (const Units* units : {&built_.own, &built_.int8}) {
      if (units->lane == nullptr) continue;
      nw += lanes * copies() * units->lane->leakage_nw +
            static_cast<double>(config_.array.post_processors) * units->post->leakage_nw +
            static_cast<double>(config_.array.quantizers) * units->quantizer->leakage_nw;
    }
    const double buffers =
        config_.input_buffer.leakage_mw + config_.weight_buffer.leakage_mw + config_.output_buffer.leakage_mw;
    return static_cast<double>(tiles_) * (nw * 1e-6 * config_.energies.energy_scale + buffers);
  }

  std::map<std::string, double> area(int64_t lanes) const {
    const auto tiles = static_cast<double>(tiles_);
    const double scale = config_.energies.area_scale;
    std::map<std::string, double> um2;
    for (const auto& [units, prefix] : {std::pair{&built_.own, ""}, std::pair{&built_.int8, "int8_"}}) {
      if (units->lane == nullptr) continue;
      const auto part = [&, prefix = prefix](const char* name) -> double& { return um2[std::string(prefix) + name]; };
      part("lanes") = static_cast<double>(lanes) * copies() * units->lane->area_um2 * scale;
      part("post") = tiles * static_cast<double>(config_.array.post_processors) * units->post->area_um2 * scale;
      part("quantizers") = tiles * static_cast<double>(config_.array.quantizers) * units->quantizer->area_um2 * scale;
    }
    um2["buffers"] =
        tiles * (config_.input_buffer.area_um2 + config_.weight_buffer.area_um2 + config_.output_buffer.area_um2);
    return um2;
  }

  const Workload& workload_;
  const Config& config_;
  Design design_;
  bool int8_;
  int64_t tiles_ = 0;
  Built built_;
  std::vector<OutputPlan> outputs_;
  std::map<std::vector<int64_t>, Run> runs_;
};

}  // namespace

double total(const Energy& energy) {
  double sum = 0;
  for (const auto& [component, pj] : energy) sum += pj;
  return sum;
}

int64_t DesignResult::macs() const {
  int64_t sum = 0;
  for (const LayerResult& layer : layers) sum += layer.macs;
  return sum;
}

CycleSplit DesignResult::cycles() const {
  CycleSplit sum;
  for (const LayerResult& layer : layers) {
    sum.compute += layer.cycles.compute;
    sum.memory_stall += layer.cycles.memory_stall;
    sum.post_processing += layer.cycles.post_processing;
    sum.drain += layer.cycles.drain;
  }
  return sum;
}

Bytes DesignResult::bytes() const {
  Bytes sum;
  for (const LayerResult& layer : layers) {
    sum.weights += layer.bytes.weights;
    sum.inputs += layer.bytes.inputs;
    sum.outputs += layer.bytes.outputs;
  }
  return sum;
}

Energy DesignResult::energy_pj() const {
  Energy sum;
  for (const LayerResult& layer : layers) {
    for (const auto& [component, pj] : layer.energy_pj) sum[component] += pj;
  }
  return sum;
}

DesignResult simulate(const Workload& workload, const Config& config, Design design) {
  return Simulation(workload, config, design).run();
}

}  // namespace dnateq::accelerator
