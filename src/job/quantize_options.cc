#include "job/quantize_options.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <utility>

#include "core/option.h"
#include "dnateq/error.h"
#include "graph/evaluate.h"
#include "quantize/external_metric.h"

namespace dnateq {
namespace {

double number(const std::string& text, const char* key) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    throw Error(fmt::format("{} '{}' is not a number", option(key), text));
  return value;
}

// "0.01" or "1%".
double parse_share(const std::string& text, const char* key) {
  const bool percent = text.ends_with('%');
  return number(percent ? text.substr(0, text.size() - 1) : text, key) / (percent ? 100 : 1);
}

double parse_threshold(const std::string& text, const char* key) {
  const double value = parse_share(text, key);
  if (value <= 0 || value > 1)
    throw Error(fmt::format("{} '{}' is no relative error above 0 and at most 1; write 0.1 or 10%", option(key), text));
  return value;
}

// A divergence has no largest value; what is lost of all other scores is at most all.
double parse_loss(const std::string& text, const char* key, bool is_divergence) {
  const double value = parse_share(text, key);
  if (value < 0) throw Error(fmt::format("{} must not be negative; write 1% or 0.01 for one point", option(key)));
  if (value >= 1 && !is_divergence)
    throw Error(fmt::format("{} must lie between 0% and 100%; write 1% or 0.01 for one point, or use {} for nats",
                            option(key), option("metric", "kl")));
  return value;
}

// How much may be lost, and in what it is counted. Throws Error where the two do not go together.
void set_limit(const QuantizeArguments& a, QuantizeOptions& options) {
  if (a.max_drop.empty()) {
    options.max_loss = a.max_loss.empty() ? 0.01 : parse_loss(a.max_loss, "max_loss", a.metric == "kl");
    return;
  }
  options.drop_type = a.drop_type.empty() ? DropType::kAbsolute : drop_type_from_string(a.drop_type);
  if (options.drop_type == DropType::kRelative && a.metric == "kl")
    throw Error(fmt::format("{} has no meaning with {}, since FP32's divergence from itself is 0",
                            option("drop_type", "relative"), option("metric", "kl")));
  const bool own = !a.metric.empty() && is_external(metric_from_string(a.metric));
  const bool any_size = options.drop_type == DropType::kAbsolute && (own || a.metric == "kl");
  options.max_loss = parse_loss(a.max_drop, "max_drop", any_size);
}

std::pair<double, double> parse_bits(const std::string& text) {
  const size_t slash = text.find('/');
  const double weights = number(text.substr(0, slash), "target_bits");
  const double activations = slash == std::string::npos ? weights : number(text.substr(slash + 1), "target_bits");
  for (const double bits : {weights, activations})
    if (bits < 2 || bits > 32)
      throw Error(
          fmt::format("{} must lie between 2 and 32: a quantized layer has 2 to 8 bits a value, and means above 8 need "
                      "layers that stay in FP32, at 32 bits",
                      option("target_bits")));
  return {weights, activations};
}

ScoreRange parse_range(const std::string& text) {
  const size_t comma = text.find(',');
  if (comma == std::string::npos)
    throw Error(fmt::format("{} '{}' is not LO,HI, such as 0,1", option("metric_range"), text));
  const ScoreRange range{true, number(text.substr(0, comma), "metric_range"),
                         number(text.substr(comma + 1), "metric_range")};
  if (!(range.lowest < range.highest))
    throw Error(fmt::format("{} '{}' is empty; give the least and the greatest score, such as 0,1",
                            option("metric_range"), text));
  return range;
}

// "60MB", "60000000" or "1.5GB": bytes, in powers of ten.
int64_t parse_size(const std::string& text) {
  constexpr std::pair<const char*, double> kUnits[] = {{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}};
  std::string digits = text;
  double unit = 1;
  for (const auto& [name, bytes] : kUnits)
    if (text.ends_with(name)) {
      digits = text.substr(0, text.size() - std::strlen(name));
      unit = bytes;
      break;
    }
  const double size = number(digits, "target_size") * unit;
  if (!(size >= 1) || size > 1e15)
    throw Error(fmt::format("{} '{}' is no size; write it like 60MB", option("target_size"), text));
  return static_cast<int64_t>(size);
}

double parse_time(const std::string& text) {
  if (text.empty()) return 0;
  const char unit = text.back();
  const double scale = unit == 'h' ? 3600 : unit == 'm' ? 60 : 1;
  const bool has_unit = unit == 'h' || unit == 'm' || unit == 's';
  const double value = number(has_unit ? text.substr(0, text.size() - 1) : text, "budget") * scale;
  if (!(value > 0)) throw Error(fmt::format("{} must be a time above zero, such as 90s, 10m or 1h", option("budget")));
  return value;
}

// What a recipe says of its making: as the program would be told, whoever was.
std::string options_text(const QuantizeArguments& a) {
  std::string text =
      fmt::format("--strategy {} --family {} --emit {} --seed {}", a.strategy, a.family, emissions_for(a), a.seed);
  if (!a.max_drop.empty()) text += " --max-drop " + a.max_drop;
  if (!a.drop_type.empty()) text += " --drop-type " + a.drop_type;
  if (!a.max_loss.empty()) text += " --max-loss " + a.max_loss;
  if (!a.target_bits.empty()) text += " --target-bits " + a.target_bits;
  if (!a.target_size.empty()) text += " --target-size " + a.target_size;
  if (a.weight_bits > 0) text += fmt::format(" --weight-bits {}", a.weight_bits);
  if (a.activation_bits > 0) text += fmt::format(" --activation-bits {}", a.activation_bits);
  if (!a.thr_weights.empty()) text += " --thr-weights " + a.thr_weights;
  if (!a.thr_activations.empty()) text += " --thr-activations " + a.thr_activations;
  if (a.thr_plans >= 0) text += fmt::format(" --thr-plans {}", a.thr_plans);
  if (!a.metric.empty()) text += " --metric " + a.metric;
  if (!a.metric_range.empty()) text += " --metric-range " + a.metric_range;
  if (!a.output_name.empty()) text += " --output " + a.output_name;
  if (a.calibration.batch_axis >= 0) text += fmt::format(" --batch-axis {}", a.calibration.batch_axis);
  if (a.weights_only) text += " --weights-only";
  if (a.no_rotation) text += " --no-rotation";
  if (a.target_isa != "any") text += " --target-isa " + a.target_isa;
  for (const std::string& pattern : a.only) text += " --only " + pattern;
  for (const std::string& pattern : a.ignore) text += " --ignore " + pattern;
  for (const std::string& name : a.ignore_names) text += " --ignore-name " + name;
  for (const std::string& type : a.ignore_types) text += " --ignore-type " + type;
  for (const std::string& pattern : a.untie) text += " --untie " + pattern;
  return text;
}

struct Emissions {
  bool standard = false, cpu = false, exact = false, counting = false;
};

// A list such as "standard,exact"; "both" is "cpu,exact".
Emissions emissions_of(const std::string& list) {
  Emissions wanted;
  std::istringstream words(list == "both" ? "cpu,exact" : list);
  for (std::string word; std::getline(words, word, ',');) {
    if (word == "standard")
      wanted.standard = true;
    else if (word == "cpu")
      wanted.cpu = true;
    else if (word == "exact")
      wanted.exact = true;
    else if (word == "counting")
      wanted.counting = true;
    else
      throw Error(
          fmt::format("{} takes standard, cpu, exact, counting or both, or a list such as standard,exact, not '{}'",
                      option("emit"), list));
  }
  if (wanted.counting && (wanted.standard || wanted.cpu || wanted.exact))
    throw Error(fmt::format(
        "{} is a network of its own, whose codes share a base; give it alone, and the others to another run",
        option("emit", "counting")));
  if (wanted.standard && wanted.cpu)
    throw Error(fmt::format("{} and {} write the same file, model.xml; give one of them", option("emit", "standard"),
                            option("emit", "cpu")));
  if (!wanted.standard && !wanted.cpu && !wanted.exact && !wanted.counting)
    throw Error(fmt::format("{} is empty; give standard, cpu, exact, counting or both", option("emit")));
  return wanted;
}

// Counting needs exponents of one base on both sides of a product.
void check_counting(const QuantizeArguments& arguments, Family family) {
  const bool shares_base =
      arguments.strategy == "paper" ||
      (arguments.strategy == "optimal" && (family == Family::kSharedBase || family == Family::kBeta0));
  if (!shares_base)
    throw Error(fmt::format("{} needs one base for a layer's weights and inputs; add {} or {}, or take {}",
                            option("emit", "counting"), option("family", "shared-base"), option("family", "beta0"),
                            option("strategy", "paper")));
  if (arguments.weights_only)
    throw Error(fmt::format("{} counts exponents of weights and activations; leave {} out", option("emit", "counting"),
                            option("weights_only")));
}

// The paper's thresholds, which are a goal of their own; `external`: the metric is the user's, and may be slow.
void set_thresholds(const QuantizeArguments& a, bool external, QuantizeOptions& options) {
  const bool given = !a.thr_weights.empty() || !a.thr_activations.empty();
  if (a.strategy != "paper" && (given || a.thr_plans >= 0))
    throw Error(fmt::format("{} belongs to {}; leave it out with {}",
                            !a.thr_weights.empty()       ? option("thr_weights")
                            : !a.thr_activations.empty() ? option("thr_activations")
                                                         : option("thr_plans"),
                            option("strategy", "paper"), option("strategy", a.strategy)));
  options.threshold_plans = a.thr_plans >= 0 ? a.thr_plans : external ? 0 : options.threshold_plans;
  if (!given) return;
  if (a.weights_only && !a.thr_activations.empty())
    throw Error(
        fmt::format("{} leaves activations in FP32; give {} alone", option("weights_only"), option("thr_weights")));
  if (a.thr_weights.empty() || (a.thr_activations.empty() && !a.weights_only))
    throw Error(fmt::format("{} and {} are a pair; give {} too", option("thr_weights"), option("thr_activations"),
                            option(a.thr_weights.empty() ? "thr_weights" : "thr_activations")));
  options.weight_threshold = parse_threshold(a.thr_weights, "thr_weights");
  options.activation_threshold =
      a.weights_only ? options.weight_threshold : parse_threshold(a.thr_activations, "thr_activations");
}

}  // namespace

ImportOptions import_options_of(const QuantizeArguments& a) {
  return {.only = a.only,
          .ignore = a.ignore,
          .untie = a.untie,
          .ignore_names = a.ignore_names,
          .ignore_types = a.ignore_types,
          .ignore_may_miss = a.ignore_may_miss};
}

void check_emit(const std::string& list) {
  if (list != "auto") emissions_of(list);
}

std::string emissions_for(const QuantizeArguments& a) {
  if (a.emit != "auto") return a.emit;
  if (a.strategy == "paper") return "exact";
  const size_t slash = a.target_bits.find('/');
  const bool few = (a.activation_bits > 0 && a.activation_bits < 8) ||
                   (slash != std::string::npos && parse_bits(a.target_bits).second < 8);
  return few ? "cpu,exact" : "cpu";
}

QuantizeOptions options_of(const QuantizeArguments& arguments, int threads, Progress progress, bool has_validation,
                           bool has_labels) {
  QuantizeOptions options;
  options.strategy = arguments.strategy;
  if (options.strategy != "optimal" && options.strategy != "paper" && options.strategy != "uniform")
    throw Error(fmt::format("{} '{}' is unknown; use optimal, paper or uniform", option("strategy"), options.strategy));
  options.family = family_from_string(arguments.family, &options.pow2_q);
  const bool thresholds = !arguments.thr_weights.empty() || !arguments.thr_activations.empty();
  const bool limit = !arguments.max_drop.empty() || !arguments.max_loss.empty();
  const int wishes = static_cast<int>(limit) + static_cast<int>(!arguments.target_bits.empty()) +
                     static_cast<int>(!arguments.target_size.empty()) +
                     static_cast<int>(arguments.weight_bits > 0 || arguments.activation_bits > 0);
  if (!arguments.max_drop.empty() && !arguments.max_loss.empty())
    throw Error(fmt::format("{} is an older name of {}; give {} alone", option("max_loss"), option("max_drop"),
                            option("max_drop")));
  if (arguments.max_drop.empty() && !arguments.drop_type.empty())
    throw Error(
        fmt::format("{} says how {} counts; give {} too", option("drop_type"), option("max_drop"), option("max_drop")));
  if (wishes > 1)
    throw Error(fmt::format("{}, {}, {} and {}/{} exclude each other; give one of them", option("max_drop"),
                            option("target_bits"), option("target_size"), option("weight_bits"),
                            option("activation_bits")));
  if (wishes > 0 && thresholds)
    throw Error(fmt::format("{} and {} say what bits there are; leave {}, {}, {} and {} out", option("thr_weights"),
                            option("thr_activations"), option("max_drop"), option("target_bits"), option("weight_bits"),
                            option("activation_bits")));
  if (!arguments.target_size.empty()) {
    options.target_bytes = parse_size(arguments.target_size);
  } else if (!arguments.target_bits.empty()) {
    std::tie(options.target_weight_bits, options.target_activation_bits) = parse_bits(arguments.target_bits);
  } else if (arguments.weight_bits > 0 || arguments.activation_bits > 0) {
    if (arguments.weight_bits > 0) options.weight_bits = arguments.weight_bits;
    if (arguments.activation_bits > 0) options.activation_bits = arguments.activation_bits;
  } else if (!thresholds) {
    set_limit(arguments, options);
  }
  options.metric = arguments.metric;
  options.output = arguments.output_name;
  const std::string emitted = emissions_for(arguments);
  const Emissions emit = emissions_of(emitted);
  options.emit_standard = emit.standard || emit.cpu;
  options.emit_exact = emit.exact || emit.counting;
  options.counting = emit.counting;
  if (emit.counting) check_counting(arguments, options.family);
  options.packed = emit.cpu;
  options.expected_rows = arguments.expect_rows;
  options.weights_only = arguments.weights_only;
  options.rotate = !arguments.no_rotation;
  options.target_isa = target_isa_from_string(arguments.target_isa);
  options.seed = arguments.seed;
  options.threads = threads;
  options.budget_seconds = parse_time(arguments.budget);
  options.resume = arguments.resume;
  options.options_text = options_text(arguments);
  options.has_labels = has_labels;
  options.progress = std::move(progress);
  if (options.strategy == "paper") {
    if (!options.emit_exact)
      throw Error(fmt::format("{} has real levels, which the int8 table of {} cannot hold; use {} or counting",
                              option("strategy", "paper"), option("emit", emitted), option("emit", "exact")));
    options.emit_standard = false;
  }
  if (options.strategy != "optimal" && options.family != Family::kFree)
    throw Error(fmt::format("{} belongs to {}; leave it out with {}", option("family"), option("strategy", "optimal"),
                            option("strategy", options.strategy)));
  if (arguments.strategy == "paper" && (arguments.weight_bits > 0 || arguments.activation_bits > 0))
    throw Error(fmt::format(
        "{} is not for {}, which chooses widths layer by layer, the same for weights and inputs; give {}, their mean",
        option(arguments.weight_bits > 0 ? "weight_bits" : "activation_bits"), option("strategy", "paper"),
        option("target_bits")));
  const std::string metric = arguments.metric;
  if (!metric.empty()) metric_from_string(metric);
  set_thresholds(arguments, !metric.empty() && is_external(metric_from_string(metric)), options);
  if (metric.starts_with("command:"))
    options.judge = [command = metric.substr(8)](const std::vector<std::filesystem::path>& models) {
      return run_command(command, models.front());
    };
  const bool external = !metric.empty() && is_external(metric_from_string(metric));
  if (!arguments.metric_range.empty()) {
    if (!external)
      throw Error(fmt::format("{} belongs to a {} of your own; the range of the named ones is known",
                              option("metric_range"), option("metric")));
    options.metric_range = parse_range(arguments.metric_range);
  }
  if (arguments.require_certificate && !options.max_loss)
    throw Error(fmt::format("{} belongs to {}, since bits alone promise nothing; leave one of them out",
                            option("require_certificate"), option("max_drop")));
  if (external && !arguments.output_name.empty())
    throw Error(
        fmt::format("{} has no meaning with a {} of your own; leave it out", option("output"), option("metric")));
  if (has_labels && !has_validation)
    throw Error(fmt::format("{} belong to {} samples; give those too", option("labels"), option("validation")));
  if ((metric == "top1" || metric == "top5") && !has_labels)
    throw Error(fmt::format("{} needs {} and {}; without labels use agreement or cosine", option("metric", metric),
                            option("validation"), option("labels")));
  const bool wants_activations = arguments.activation_bits > 0 || arguments.target_bits.find('/') != std::string::npos;
  if (wants_activations && arguments.weights_only)
    throw Error(fmt::format("{} leaves activations in FP32; give bits for the weights alone", option("weights_only")));
  if (arguments.expect_rows > 0 && !options.packed)
    throw Error(fmt::format("{} belongs to {}", option("expect_rows"), option("emit", "cpu")));
  if (wants_activations && !options.emit_exact && arguments.activation_bits != 8 &&
      options.target_activation_bits.value_or(0) != 8)
    throw Error(fmt::format("{} keeps activations at 8 bits; give bits for the weights alone, or {}",
                            option("emit", emitted), option("emit", "exact")));
  return options;
}

}  // namespace dnateq
