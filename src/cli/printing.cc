#include "cli/printing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "cli/words.h"
#include "core/layer_names.h"
#include "core/sentence.h"
#include "dnateq/recipe.h"

namespace dnateq {
namespace {

void print_layers(const Recipe& recipe) {
  fmt::print("{:<44} {:<16} {:>9} {:>4} {:>4} {:>8} {:>8}\n", "layer", "type", "weights", "w", "a", "SQNR w",
             "SQNR out");
  std::vector<std::string> names;
  for (const LayerRecipe& layer : recipe.layers) names.push_back(layer.name);
  for (const UnquantizedLayer& layer : recipe.unquantized) names.push_back(layer.name);
  names = short_layer_names(names, 44);
  auto name = names.begin();
  for (const LayerRecipe& layer : recipe.layers) {
    const std::string activation =
        layer.activations ? fmt::format("{}", layer.activations->code.stored_bits) : std::string("-");
    fmt::print("{:<44} {:<16} {:>9} {:>4} {:>4} {:>5.1f} dB {}\n", *name++, layer.type, layer.weights.elements,
               layer.weights.code.stored_bits, activation, layer.weights.sqnr_db,
               layer.output_sqnr_db < 119 ? fmt::format("{:>5.1f} dB", layer.output_sqnr_db) : "       -");
  }
  for (const UnquantizedLayer& layer : recipe.unquantized)
    fmt::print("{:<44} {:<16} {:>9}  FP32: {}\n", *name++, layer.type, layer.weight_elements, layer.reason);
}

// Embeddings have no activations in any case.
bool weights_alone(const Recipe& recipe) {
  const auto multiplies = [](const LayerRecipe& layer) { return layer.type != "Gather"; };
  return std::any_of(recipe.layers.begin(), recipe.layers.end(), multiplies) &&
         std::none_of(recipe.layers.begin(), recipe.layers.end(),
                      [](const LayerRecipe& layer) { return layer.activations.has_value(); });
}

void print_bits(const Recipe& recipe) {
  const BitSummary weights = weight_bits(recipe), activations = activation_bits(recipe);
  fmt::print("\nweights      {:.3f} stored bits a value ({:.1f}x smaller than FP32)\n", weights.stored_bits,
             weights.compression_vs_fp32);
  if (weights_alone(recipe))
    fmt::print(
        "activations  in FP32, since weights alone were quantized; MatMuls on narrow weights round each row to 8 "
        "bits as they run\n");
  else if (activations.stored_bits > 0)
    fmt::print("activations  {:.3f} stored bits a value that enters a quantized layer\n", activations.stored_bits);
  if (recipe.passed.values > 0)
    fmt::print("             {:.3f} over all {} values that operations of {} pass on, {:.1f} % of them in FP32 at 32\n",
               recipe.passed.mean_bits, recipe.passed.values, recipe.passed.emission,
               100 * share_in_float(recipe.passed));
}

void print_sizes(const FinishedJob& job) {
  fmt::print("size         FP32 {}, INT8 {}{}", human_bytes(job.bytes_fp32), human_bytes(job.bytes_int8),
             job.int8_is_estimate ? " (estimate)" : "");
  for (const EmissionResult& e : job.recipe.emissions)
    fmt::print("\non disk      {} {}: {:.3f} bits for each of {} parameters; its graph {}", e.emission,
               human_bytes(e.bytes), e.bits_on_disk, job.recipe.parameters, human_bytes(e.graph_bytes));
}

void print_emission(const EmissionResult& e, bool weights_alone) {
  fmt::print("\n{:<12} {:.4f}: loses {:.4f}", e.emission, e.score, e.loss);
  if (e.samples > 0) fmt::print(", 95 % within [{:.4f}, {:.4f}]", e.low, e.high);
  if (std::isfinite(e.upper_bound)) fmt::print("; at most {:.4f} at 95 % ({})", e.upper_bound, e.bound_method);
  if (e.emission != "exact" && e.emission != "counting")
    fmt::print("; {}", weights_alone ? "activations in FP32, 8 bits inside MatMuls" : "8-bit activations");
}

void print_metric(const FinishedJob& job) {
  const std::optional<MetricResult>& m = job.recipe.metric;
  if (!m) return;
  fmt::print("\n{:<12} FP32 {:.4f}", m->name, m->reference);
  if (job.int8_metric) fmt::print(", INT8 {:.4f}", *job.int8_metric);
  if (m->samples > 0) fmt::print("; {} samples", m->samples);
  const bool own = m->samples_from == kMetricsOwnSamples;
  fmt::print(" ({}{})", m->samples_from,
             !m->held_out ? ""
             : own        ? ", which led no search; whether calibration has them is not known"
                          : ", never seen by the search");
  if (m->drop_type == "relative") fmt::print("\n             what is lost below is a share of FP32's score");
  for (const EmissionResult& emission : job.recipe.emissions) print_emission(emission, weights_alone(job.recipe));
  if (!m->verdict.empty()) fmt::print("\nlimit        {:.4g}: {}", m->limit, m->verdict);
}

}  // namespace

void print_json(const nlohmann::ordered_json& document) {
  std::cout << document.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << std::endl;
}

std::string human_bytes(int64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  if (bytes < 1000000) return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
  return fmt::format("{:.2f} MB", static_cast<double>(bytes) / 1e6);
}

void print_aside(const std::string& sentence) { fmt::print(stderr, "dnateq: {}\n", one_line(program_words(sentence))); }

void print_float_kernels(const FloatKernels& kernels) {
  if (kernels.operations.empty())
    fmt::print("the same bits on every CPU: no sum or function is left to OpenVINO's float32 kernels\n");
  else
    fmt::print("left to OpenVINO's float32 kernels, whose last bits depend on the CPU: {}\n", kernels.text);
}

void print_summary(const FinishedJob& job, const std::string& directory) {
  print_layers(job.recipe);
  print_bits(job.recipe);
  print_sizes(job);
  print_metric(job);
  if (job.recipe.split && !job.recipe.split->note.empty()) fmt::print("\nnote         {}", job.recipe.split->note);
  fmt::print("\ntime         {:.1f} s\nreport       {}\n", job.seconds,
             (std::filesystem::path(directory) / "report.html").string());
}

JobSetting setting_of(const Session& session) {
  JobSetting setting;
  setting.threads = session.thread_count();
  setting.progress = session.progress;
  if (!session.quiet) setting.say = print_aside;
  setting.installation = session.installation;
  return setting;
}

int certificate_status(const FinishedJob& job, bool required) {
  constexpr int kNotCertified = 3;
  const std::optional<MetricResult>& metric = job.recipe.metric;
  if (!required || (metric && metric->certified)) return 0;
  fmt::print(stderr, "dnateq: the loss limit is {}; everything is written, and --require-certificate asks for more\n",
             metric && !metric->verdict.empty() ? metric->verdict : "not certified");
  return kNotCertified;
}

}  // namespace dnateq
