#include "report/accelerator_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "report/document.h"
#include "report/page.h"

namespace dnateq {
namespace {

using namespace accelerator;
using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
double ratio(double baseline, double value) { return value > 0 ? baseline / value : std::nan(""); }

Json operand_json(const Operand& operand) {
  return {{"stored_bits", operand.stored_bits},          {"exponent_bits", operand.exponent_bits},
          {"zero_fraction", operand.zero_fraction},      {"base", operand.base},
          {"measured", !operand.exponent_share.empty()}, {"origin", operand.origin}};
}

Json bytes_json(const Bytes& bytes) {
  return {{"weights", bytes.weights}, {"inputs", bytes.inputs}, {"outputs", bytes.outputs}, {"total", bytes.total()}};
}

Json cycles_json(const CycleSplit& cycles) {
  return {{"compute", cycles.compute},
          {"memory_stall", cycles.memory_stall},
          {"post_processing", cycles.post_processing},
          {"drain", cycles.drain},
          {"total", cycles.total()}};
}

template <typename Map>
Json map_json(const Map& map) {
  Json object = Json::object();
  for (const auto& [key, value] : map) object[key] = number(value);
  return object;
}

const Operand& operand_of_design(const SimulationRun& run, const DesignResult& design, size_t layer, bool weights) {
  const bool int8 = design.design == Design::kInt8 || design.layers.at(layer).int8_lanes;
  const Layer& from = (int8 ? run.int8 : run.workload).layers.at(layer);
  return weights ? from.weights : from.activations;
}

// Bytes from memory in a clock cycle of the array, all vaults.
double bytes_per_cycle(const Config& config, double clock_mhz) {
  return static_cast<double>(config.memory.vaults * config.memory.burst_bytes) / config.memory.burst_ns * 1e3 /
         clock_mhz;
}

Json lane_json(const std::optional<Part>& lane) {
  if (!lane) return nullptr;
  return {{"exponent_bits", lane->exponent_bits},
          {"counter_bits", lane->counter_bits},
          {"q", lane->q},
          {"storage", lane->storage},
          {"variant", lane->variant},
          {"area_um2", lane->area_um2},
          {"period_ns", lane->period_ns},
          {"active_pj", lane->active_pj},
          {"idle_pj", lane->idle_pj}};
}

Json layer_json(const SimulationRun& run, const DesignResult& design, size_t i) {
  const LayerResult& layer = design.layers[i];
  const auto cycles = static_cast<double>(layer.cycles.total()), bytes = static_cast<double>(layer.bytes.total());
  return {{"name", layer.name},
          {"macs", layer.macs},
          {"cycles", cycles_json(layer.cycles)},
          {"bytes", bytes_json(layer.bytes)},
          {"compulsory_bytes", bytes_json(layer.compulsory)},
          {"energy_pj", map_json(layer.energy_pj)},
          {"total_energy_pj", number(total(layer.energy_pj))},
          {"flushes", layer.flushes},
          {"folds", layer.folds},
          {"cut", layer.cut},
          {"bound", layer.bound},
          {"int8_lanes", layer.int8_lanes},
          {"macs_per_cycle", number(cycles > 0 ? static_cast<double>(layer.macs) / cycles : std::nan(""))},
          {"macs_per_dram_byte", number(bytes > 0 ? static_cast<double>(layer.macs) / bytes : std::nan(""))},
          {"weight_bits", operand_of_design(run, design, i, true).stored_bits},
          {"activation_bits", operand_of_design(run, design, i, false).stored_bits}};
}

// Whether the figures are of the network's own codes; null for INT8, whose grids are its own.
Json codes_json(const SimulationRun& run, const DesignResult& design) {
  if (design.design == Design::kInt8) return nullptr;
  const CodeFit fit = code_fit(run, design);
  return {{"own", fit.foreign == 0},
          {"layers", fit.layers},
          {"foreign_layers", fit.foreign},
          {"reasons", fit.reasons},
          {"wanted", wanted_family(design.design)}};
}

Json recipe_json(const SimulationRun& run) {
  if (!run.recipe) return nullptr;
  Json metric;
  if (const auto& m = run.recipe->metric)
    metric = {{"name", m->name},
              {"reference", number(m->reference)},
              {"quantized", number(m->quantized)},
              {"exact", number(m->exact)},
              {"confidence", m->samples > 0 ? Json({m->confidence_low, m->confidence_high}) : Json()},
              {"samples", m->samples},
              {"samples_from", m->samples_from}};
  return {{"strategy", run.recipe->strategy}, {"options", run.recipe->options}, {"metric", metric}};
}

Json outcomes_json(const std::vector<Outcome>& outcomes, const Outcome* baseline) {
  Json list = Json::array();
  for (const Outcome& own : outcomes) {
    if (!own.error.empty()) {
      list.push_back({{"design", to_string(own.design)}, {"error", own.error}});
      continue;
    }
    const auto against = [&](double Outcome::*figure) {
      return baseline != nullptr ? number(ratio(baseline->*figure, own.*figure)) : Json(nullptr);
    };
    list.push_back({{"design", to_string(own.design)},
                    {"cycles", own.cycles},
                    {"time_ms", own.milliseconds},
                    {"dram_bytes", own.dram_bytes},
                    {"energy_pj", own.energy_pj},
                    {"area_um2", own.area_um2},
                    {"speed", against(&Outcome::milliseconds)},
                    {"energy", against(&Outcome::energy_pj)},
                    {"area", against(&Outcome::area_um2)}});
  }
  return list;
}

const Outcome* baseline_of(const std::vector<Outcome>& outcomes) {
  for (const Outcome& outcome : outcomes)
    if (outcome.design == Design::kInt8 && outcome.error.empty()) return &outcome;
  return nullptr;
}

Json readings_json(const SimulationRun& run) {
  Json list = Json::array();
  for (const Reading& reading : run.readings)
    list.push_back({{"bits_are", to_string(reading.bits_are)},
                    {"weight_bits", number(reading.weight_bits)},
                    {"activation_bits", number(reading.activation_bits)},
                    {"designs", outcomes_json(reading.outcomes, baseline_of(reading.outcomes))}});
  return list;
}

Json design_json(const SimulationRun& run, const DesignResult& design) {
  const Outcome own = outcome_of(design), baseline = outcome_of(run.designs.front());
  Json layers = Json::array();
  std::map<std::string, int64_t> cycles_by_bound;
  for (size_t i = 0; i < design.layers.size(); ++i) {
    layers.push_back(layer_json(run, design, i));
    cycles_by_bound[design.layers[i].bound] += design.layers[i].cycles.total();
  }
  const ShareCheck check = share_check(run.designs.front().energy_pj(), design.energy_pj(), kPaperEnergy);
  return {{"design", to_string(design.design)},
          {"codes", codes_json(run, design)},
          {"macs", design.macs()},
          {"cycles", own.cycles},
          {"cycle_split", cycles_json(design.cycles())},
          {"peak_macs_per_cycle", design.peak_macs_per_cycle},
          {"lanes", design.lanes},
          {"clock_mhz", design.clock_mhz},
          {"time_ms", own.milliseconds},
          {"dram_bytes_per_cycle", number(bytes_per_cycle(run.config, design.clock_mhz))},
          {"bytes", bytes_json(design.bytes())},
          {"energy_pj", map_json(design.energy_pj())},
          {"total_energy_pj", own.energy_pj},
          {"area_um2", map_json(design.area_um2)},
          {"lane", lane_json(design.lane)},
          {"int8_lane", lane_json(design.int8_lane)},
          {"total_area_um2", own.area_um2},
          {"cycles_by_bound", cycles_by_bound},
          {"against_int8",
           {{"speed", number(ratio(baseline.milliseconds, own.milliseconds))},
            {"energy", number(ratio(baseline.energy_pj, own.energy_pj))},
            {"area", number(ratio(baseline.area_um2, own.area_um2))},
            {"dram_bytes", number(ratio(baseline.dram_bytes, own.dram_bytes))}}},
          {"share_check",
           {{"times", kPaperEnergy},
            {"pe_share_of_int8", number(check.share)},
            {"pe_energy_ratio", number(check.inside_ratio)},
            {"other_energy_ratio", number(check.outside_ratio)},
            {"pe_share_needed", check.needed ? number(*check.needed) : Json(nullptr)},
            {"holds", check.holds}}},
          {"layers", layers}};
}

Json workload_json(const SimulationRun& run) {
  const Workload& workload = run.workload;
  Json layers = Json::array();
  double weights = 0, weight_bits = 0, activations = 0, activation_bits = 0;
  for (const Layer& layer : workload.layers) {
    layers.push_back({{"name", layer.name},
                      {"kind", layer.kind == LayerKind::kConvolution ? "convolution" : "matmul"},
                      {"groups", layer.groups},
                      {"rows", layer.rows},
                      {"inputs", layer.inputs},
                      {"outputs", layer.outputs},
                      {"repeats", layer.repeats},
                      {"macs", layer.macs()},
                      {"input_elements", layer.input_elements},
                      {"weight_elements", layer.weight_elements},
                      {"output_elements", layer.output_elements},
                      {"weights_are_activations", layer.weights_are_activations},
                      {"producer", layer.producer},
                      {"weights", operand_json(layer.weights)},
                      {"activations", operand_json(layer.activations)}});
    if (!layer.weights_are_activations) {
      weights += static_cast<double>(layer.weight_elements);
      weight_bits += static_cast<double>(layer.weight_elements) * layer.weights.stored_bits;
    }
    activations += static_cast<double>(layer.input_elements);
    activation_bits += static_cast<double>(layer.input_elements) * layer.activations.stored_bits;
  }
  return {{"name", workload.name},
          {"origin", workload.origin},
          {"batch", workload.batch},
          {"macs", workload.macs()},
          {"weights", static_cast<int64_t>(weights)},
          {"weight_bits", number(weights > 0 ? weight_bits / weights : std::nan(""))},
          {"activation_bits", number(activations > 0 ? activation_bits / activations : std::nan(""))},
          {"left_out", run.left_out},
          {"notes", run.notes},
          {"layers", layers}};
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted(1, '"');
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  quoted.push_back('"');
  return quoted;
}

std::string csv_row(const std::vector<std::string>& fields) {
  std::vector<std::string> cells;
  cells.reserve(fields.size());
  for (const std::string& field : fields) cells.push_back(csv_field(field));
  return fmt::format("{}\n", fmt::join(cells, ","));
}

}  // namespace

ShareCheck share_check(const Energy& baseline, const Energy& design, double times) {
  const auto inside = [](const Energy& energy) {
    double sum = 0;
    for (const char* part : {"lanes", "quantizers", "post"})
      if (const auto found = energy.find(part); found != energy.end()) sum += found->second;
    return sum;
  };
  ShareCheck check;
  const double all = total(baseline), base_inside = inside(baseline), own_inside = inside(design);
  check.share = all > 0 ? base_inside / all : 0;
  check.inside_ratio = base_inside > 0 ? own_inside / base_inside : std::nan("");
  check.outside_ratio = all > base_inside ? (total(design) - own_inside) / (all - base_inside) : std::nan("");
  check.holds = total(design) > 0 && all / total(design) >= times;
  const double needed = (check.outside_ratio - 1 / times) / (check.outside_ratio - check.inside_ratio);
  if (std::isfinite(needed) && needed >= 0 && needed <= 1) check.needed = needed;
  return check;
}

CodeFit code_fit(const SimulationRun& run, const DesignResult& design) {
  Workload as_run = run.workload;
  for (size_t i = 0; i < design.layers.size(); ++i) as_run.layers.at(i).int8_lanes = design.layers[i].int8_lanes;
  return accelerator::code_fit(as_run, design.design);
}

Json simulation_document(const SimulationRun& run) {
  Json numbers = Json::object();
  for (const auto& [key, value] : values(run.config)) numbers[key] = number(value);
  Json designs = Json::array();
  for (const DesignResult& design : run.designs) designs.push_back(design_json(run, design));
  const EnergyTable& energies = run.config.energies;
  return {{"format", "dnateq-simulation-1"},
          {"workload", workload_json(run)},
          {"recipe", recipe_json(run)},
          {"config",
           {{"file", run.config.file},
            {"values", numbers},
            {"sizing", run.config.array.sizing},
            {"counters", run.config.array.counters},
            {"sources", run.config.sources},
            {"assumed", run.config.assumed()},
            {"energies",
             {{"file", energies.file},
              {"technology", energies.technology},
              {"source", energies.source},
              {"energy_scale", energies.energy_scale},
              {"area_scale", energies.area_scale},
              {"delay_scale", energies.delay_scale}}}}},
          {"claims", {{"speed", kPaperSpeed}, {"energy", kPaperEnergy}}},
          {"designs", designs},
          {"readings", readings_json(run)}};
}

Json sweep_document(const std::vector<SweepAxis>& axes, const std::vector<SweepPoint>& points) {
  Json keys = Json::array(), rows = Json::array();
  for (const SweepAxis& axis : axes) keys.push_back({{"key", axis.key}, {"values", axis.values}});
  for (const SweepPoint& point : points)
    rows.push_back({{"at", point.at}, {"designs", outcomes_json(point.outcomes, baseline_of(point.outcomes))}});
  return {{"axes", keys}, {"points", rows}};
}

std::string layers_csv(const SimulationRun& run) {
  std::set<std::string> components;
  for (const DesignResult& design : run.designs)
    for (const LayerResult& layer : design.layers)
      for (const auto& [component, energy] : layer.energy_pj) components.insert(component);
  std::vector<std::string> header = {"design",
                                     "layer",
                                     "kind",
                                     "groups",
                                     "rows",
                                     "inputs",
                                     "outputs",
                                     "repeats",
                                     "macs",
                                     "weight_bits",
                                     "activation_bits",
                                     "weight_zero_fraction",
                                     "activation_zero_fraction",
                                     "cycles",
                                     "compute_cycles",
                                     "memory_stall_cycles",
                                     "post_processing_cycles",
                                     "drain_cycles",
                                     "bound",
                                     "lanes",
                                     "dram_weight_bytes",
                                     "dram_input_bytes",
                                     "dram_output_bytes",
                                     "counter_flushes",
                                     "energy_pj"};
  for (const std::string& component : components) header.push_back(component + "_pj");
  header.insert(header.end(), {"weight_origin", "activation_origin"});
  std::string text = csv_row(header);
  for (const DesignResult& design : run.designs)
    for (size_t i = 0; i < design.layers.size(); ++i) {
      const LayerResult& own = design.layers[i];
      const Layer& layer = run.workload.layers.at(i);
      const Operand &weights = operand_of_design(run, design, i, true),
                    &activations = operand_of_design(run, design, i, false);
      std::vector<std::string> row = {to_string(design.design),
                                      own.name,
                                      layer.kind == LayerKind::kConvolution ? "convolution" : "matmul",
                                      fmt::format("{}", layer.groups),
                                      fmt::format("{}", layer.rows),
                                      fmt::format("{}", layer.inputs),
                                      fmt::format("{}", layer.outputs),
                                      fmt::format("{}", layer.repeats),
                                      fmt::format("{}", own.macs),
                                      fmt::format("{}", weights.stored_bits),
                                      fmt::format("{}", activations.stored_bits),
                                      fmt::format("{:.6g}", weights.zero_fraction),
                                      fmt::format("{:.6g}", activations.zero_fraction),
                                      fmt::format("{}", own.cycles.total()),
                                      fmt::format("{}", own.cycles.compute),
                                      fmt::format("{}", own.cycles.memory_stall),
                                      fmt::format("{}", own.cycles.post_processing),
                                      fmt::format("{}", own.cycles.drain),
                                      own.bound,
                                      own.int8_lanes ? to_string(Design::kInt8) : to_string(design.design),
                                      fmt::format("{}", own.bytes.weights),
                                      fmt::format("{}", own.bytes.inputs),
                                      fmt::format("{}", own.bytes.outputs),
                                      fmt::format("{}", own.flushes),
                                      fmt::format("{:.9g}", total(own.energy_pj))};
      for (const std::string& component : components) {
        const auto found = own.energy_pj.find(component);
        row.push_back(fmt::format("{:.9g}", found == own.energy_pj.end() ? 0.0 : found->second));
      }
      row.insert(row.end(), {weights.origin, activations.origin});
      text += csv_row(row);
    }
  return text;
}

std::string sweep_csv(const std::vector<SweepAxis>& axes, const std::vector<SweepPoint>& points) {
  std::vector<std::string> header;
  header.reserve(axes.size() + 10);
  for (const SweepAxis& axis : axes) header.push_back(axis.key);
  header.insert(header.end(), {"design", "cycles", "time_ms", "dram_bytes", "energy_pj", "area_um2",
                               "speed_against_int8", "energy_against_int8", "area_against_int8", "error"});
  std::string text = csv_row(header);
  for (const SweepPoint& point : points) {
    const Outcome* baseline = baseline_of(point.outcomes);
    for (const Outcome& own : point.outcomes) {
      std::vector<std::string> row;
      for (const double value : point.at) row.push_back(fmt::format("{:.12g}", value));
      row.emplace_back(to_string(own.design));
      if (own.error.empty()) {
        for (const double value :
             {static_cast<double>(own.cycles), own.milliseconds, own.dram_bytes, own.energy_pj, own.area_um2})
          row.push_back(fmt::format("{:.12g}", value));
        const auto against = [&](double Outcome::*field) {
          return baseline != nullptr ? fmt::format("{:.6g}", ratio(baseline->*field, own.*field)) : std::string();
        };
        row.insert(row.end(),
                   {against(&Outcome::milliseconds), against(&Outcome::energy_pj), against(&Outcome::area_um2), ""});
      } else {
        row.insert(row.end(), 8, "");
        row.push_back(own.error);
      }
      text += csv_row(row);
    }
  }
  return text;
}

std::string render_accelerator_html(const Json& document) {
  const size_t marker = kAcceleratorTemplate.find(kReportDataMarker);
  std::string page(kAcceleratorTemplate.substr(0, marker));
  page += script_safe_json(nlohmann::json(document));
  page += kAcceleratorTemplate.substr(marker + kReportDataMarker.size());
  return page;
}

}  // namespace dnateq
