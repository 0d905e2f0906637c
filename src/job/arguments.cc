#include "job/arguments.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <sstream>
#include <utility>

#include "dnateq/error.h"
#include "graph/evaluate.h"
#include "quantize/external_metric.h"

namespace dnateq {
namespace {

double number(const std::string& text, const char* option) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    throw Error(fmt::format("{} '{}' is not a number; see --help", option, text));
  return value;
}

// "0.01" or "1%".
double parse_share(const std::string& text, const char* option) {
  const bool percent = text.ends_with('%');
  return number(percent ? text.substr(0, text.size() - 1) : text, option) / (percent ? 100 : 1);
}

double parse_threshold(const std::string& text, const char* option) {
  const double value = parse_share(text, option);
  if (value <= 0 || value > 1)
    throw Error(fmt::format("{} '{}' is no relative error above 0 and at most 1; write 0.1 or 10%", option, text));
  return value;
}

// A divergence has no largest value; what is lost of all other scores is at most all.
double parse_loss(const std::string& text, const char* option, bool is_divergence) {
  const double value = parse_share(text, option);
  if (value < 0) throw Error(fmt::format("{} must not be negative; write 1% or 0.01 for one point", option));
  if (value >= 1 && !is_divergence)
    throw Error(fmt::format(
        "{} must lie between 0% and 100%; write 1% or 0.01 for one point, or use --metric kl for nats", option));
  return value;
}

// How much may be lost, and in what it is counted. Throws Error where the two do not go together.
void set_limit(const QuantizeArguments& a, QuantizeOptions& options) {
  if (a.max_drop.empty()) {
    options.max_loss = a.max_loss.empty() ? 0.01 : parse_loss(a.max_loss, "--max-loss", a.metric == "kl");
    return;
  }
  options.drop_type = a.drop_type.empty() ? DropType::kAbsolute : drop_type_from_string(a.drop_type);
  if (options.drop_type == DropType::kRelative && a.metric == "kl")
    throw Error("--drop-type relative has no meaning with --metric kl, since FP32's divergence from itself is 0");
  const bool own = !a.metric.empty() && is_external(metric_from_string(a.metric));
  const bool any_size = options.drop_type == DropType::kAbsolute && (own || a.metric == "kl");
  options.max_loss = parse_loss(a.max_drop, "--max-drop", any_size);
}

std::pair<double, double> parse_bits(const std::string& text) {
  const size_t slash = text.find('/');
  const double weights = number(text.substr(0, slash), "--target-bits");
  const double activations = slash == std::string::npos ? weights : number(text.substr(slash + 1), "--target-bits");
  for (const double bits : {weights, activations})
    if (bits < 2 || bits > 32) throw Error("--target-bits must lie between 2 and 32 stored bits a value");
  return {weights, activations};
}

ScoreRange parse_range(const std::string& text) {
  const size_t comma = text.find(',');
  if (comma == std::string::npos) throw Error(fmt::format("--metric-range '{}' is not LO,HI, such as 0,1", text));
  const ScoreRange range{true, number(text.substr(0, comma), "--metric-range"),
                         number(text.substr(comma + 1), "--metric-range")};
  if (!(range.lowest < range.highest))
    throw Error(fmt::format("--metric-range '{}' is empty; give the least and the greatest score, such as 0,1", text));
  return range;
}

double parse_time(const std::string& text) {
  if (text.empty()) return 0;
  const char unit = text.back();
  const double scale = unit == 'h' ? 3600 : unit == 'm' ? 60 : 1;
  const bool has_unit = unit == 'h' || unit == 'm' || unit == 's';
  const double value = number(has_unit ? text.substr(0, text.size() - 1) : text, "--budget") * scale;
  if (!(value > 0)) throw Error("--budget must be a time above zero, such as 90s, 10m or 1h");
  return value;
}

std::string options_text(const QuantizeArguments& a) {
  std::string text =
      fmt::format("--strategy {} --family {} --emit {} --seed {}", a.strategy, a.family, emissions_for(a), a.seed);
  if (!a.max_drop.empty()) text += " --max-drop " + a.max_drop;
  if (!a.drop_type.empty()) text += " --drop-type " + a.drop_type;
  if (!a.max_loss.empty()) text += " --max-loss " + a.max_loss;
  if (!a.target_bits.empty()) text += " --target-bits " + a.target_bits;
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
      throw Error(fmt::format(
          "--emit takes standard, cpu, exact, counting or both, or a list such as standard,exact, not '{}'", list));
  }
  if (wanted.counting && (wanted.standard || wanted.cpu || wanted.exact))
    throw Error(
        "--emit counting is a network of its own, whose codes share a base; give it alone, and the others to another "
        "run");
  if (wanted.standard && wanted.cpu)
    throw Error("--emit standard and --emit cpu write the same file, model.xml; give one of them");
  if (!wanted.standard && !wanted.cpu && !wanted.exact && !wanted.counting)
    throw Error("--emit is empty; give standard, cpu, exact, counting or both");
  return wanted;
}

// Counting needs exponents of one base on both sides of a product.
void check_counting(const QuantizeArguments& arguments, Family family) {
  const bool shares_base =
      arguments.strategy == "paper" ||
      (arguments.strategy == "optimal" && (family == Family::kSharedBase || family == Family::kBeta0));
  if (!shares_base)
    throw Error(
        "--emit counting needs one base for a layer's weights and inputs; add --family shared-base or --family beta0, "
        "or take --strategy paper");
  if (arguments.weights_only)
    throw Error("--emit counting counts exponents of weights and activations; leave --weights-only out");
}

// The paper's thresholds, which are a goal of their own; `external`: the metric is the user's, and may be slow.
void set_thresholds(const QuantizeArguments& a, bool external, QuantizeOptions& options) {
  const bool given = !a.thr_weights.empty() || !a.thr_activations.empty();
  if (a.strategy != "paper" && (given || a.thr_plans >= 0))
    throw Error(fmt::format("{} belongs to --strategy paper; leave it out with --strategy {}",
                            !a.thr_weights.empty()       ? "--thr-weights"
                            : !a.thr_activations.empty() ? "--thr-activations"
                                                         : "--thr-plans",
                            a.strategy));
  options.threshold_plans = a.thr_plans >= 0 ? a.thr_plans : external ? 0 : options.threshold_plans;
  if (!given) return;
  if (a.weights_only && !a.thr_activations.empty())
    throw Error("--weights-only leaves activations in FP32; give --thr-weights alone");
  if (a.thr_weights.empty() || (a.thr_activations.empty() && !a.weights_only))
    throw Error(fmt::format("--thr-weights and --thr-activations are a pair; give {} too",
                            a.thr_weights.empty() ? "--thr-weights" : "--thr-activations"));
  options.weight_threshold = parse_threshold(a.thr_weights, "--thr-weights");
  options.activation_threshold =
      a.weights_only ? options.weight_threshold : parse_threshold(a.thr_activations, "--thr-activations");
}

}  // namespace

ImportOptions import_options_of(const QuantizeArguments& a) {
  return {a.only, a.ignore, a.untie, a.ignore_names, a.ignore_types, a.ignore_may_miss};
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
    throw Error(fmt::format("--strategy '{}' is unknown; use optimal, paper or uniform", options.strategy));
  options.family = family_from_string(arguments.family, &options.pow2_q);
  const bool thresholds = !arguments.thr_weights.empty() || !arguments.thr_activations.empty();
  const bool limit = !arguments.max_drop.empty() || !arguments.max_loss.empty();
  const int wishes = static_cast<int>(limit) + static_cast<int>(!arguments.target_bits.empty()) +
                     static_cast<int>(arguments.weight_bits > 0 || arguments.activation_bits > 0);
  if (!arguments.max_drop.empty() && !arguments.max_loss.empty())
    throw Error("--max-loss is an older name of --max-drop; give --max-drop alone");
  if (arguments.max_drop.empty() && !arguments.drop_type.empty())
    throw Error("--drop-type says how --max-drop counts; give --max-drop too");
  if (wishes > 1)
    throw Error("--max-drop, --target-bits and --weight-bits/--activation-bits exclude each other; give one of them");
  if (wishes > 0 && thresholds)
    throw Error(
        "--thr-weights and --thr-activations say what bits there are; leave --max-drop, --target-bits, --weight-bits "
        "and --activation-bits out");
  if (!arguments.target_bits.empty()) {
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
      throw Error(
          fmt::format("--strategy paper has real levels, which the int8 table of --emit {} cannot hold; use --emit "
                      "exact or counting",
                      emitted));
    options.emit_standard = false;
  }
  if (options.strategy != "optimal" && options.family != Family::kFree)
    throw Error(
        fmt::format("--family belongs to --strategy optimal; leave it out with --strategy {}", options.strategy));
  if (arguments.strategy == "paper" && (arguments.weight_bits > 0 || arguments.activation_bits > 0))
    throw Error(
        fmt::format("{} is not for --strategy paper, which chooses widths layer by layer, the same for weights "
                    "and inputs; give --target-bits, their mean",
                    arguments.weight_bits > 0 ? "--weight-bits" : "--activation-bits"));
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
      throw Error("--metric-range belongs to a --metric of your own; the range of the named ones is known");
    options.metric_range = parse_range(arguments.metric_range);
  }
  if (arguments.require_certificate && !options.max_loss)
    throw Error("--require-certificate belongs to --max-drop, since bits alone promise nothing; leave one of them out");
  if (external && !arguments.output_name.empty())
    throw Error("--output has no meaning with a --metric of your own; leave it out");
  if (has_labels && !has_validation) throw Error("--labels belong to --validation samples; give those too");
  if ((metric == "top1" || metric == "top5") && !has_labels)
    throw Error(
        fmt::format("--metric {} needs --validation and --labels; without labels use agreement or cosine", metric));
  const bool wants_activations = arguments.activation_bits > 0 || arguments.target_bits.find('/') != std::string::npos;
  if (wants_activations && arguments.weights_only)
    throw Error("--weights-only leaves activations in FP32; give bits for the weights alone");
  if (arguments.expect_rows > 0 && !options.packed) throw Error("--expect-rows belongs to --emit cpu");
  if (wants_activations && !options.emit_exact && arguments.activation_bits != 8 &&
      options.target_activation_bits.value_or(0) != 8)
    throw Error(fmt::format("--emit {} keeps activations at 8 bits; give bits for the weights alone, or --emit exact",
                            emitted));
  return options;
}

}  // namespace dnateq
