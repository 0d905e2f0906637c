#include "quantize/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "calibrate/center.h"
#include "calibrate/rotate.h"
#include "core/hash.h"
#include "core/option.h"
#include "dnateq/error.h"
#include "emit/activations.h"
#include "graph/hadamard_nodes.h"
#include "graph/table_blocks.h"
#include "kernels/exponential.h"
#include "quantize/describe.h"

namespace dnateq {
namespace {

// As keys of measurements and checkpoints have it: -1 where the layer owns its weights.
int64_t owner_of(const Layer& layer) {
  return layer.shares_weights_with ? static_cast<int64_t>(*layer.shares_weights_with) : -1;
}

std::vector<SolvedLayer> solved(const std::vector<LayerPlan>& plan, std::vector<LayerSolution> solutions) {
  std::vector<SolvedLayer> layers;
  for (size_t l = 0; l < plan.size(); ++l) layers.push_back({plan[l], std::move(solutions[l])});
  return layers;
}

}  // namespace

Network::Network(ov::Core& core, const NetworkInput& input, const QuantizeOptions& options)
    : core_(core), input_(input), options_(options), progress_(options.progress), prepared_(*input.prepared) {
  if (prepared_.layers.empty())
    throw Error(fmt::format("'{}' has no layer that can be quantized; `dnateq inspect` says why", prepared_.file));
  if (!input.name.empty() && options.progress)
    progress_ = [report = options.progress, name = input.name](const std::string& stage, size_t done, size_t total) {
      return report(name + ": " + stage, done, total);
    };
  request_.family = options.family;
  request_.pow2_q = options.pow2_q;
  const bool real_levels = options.family != Family::kFree || options.strategy == "paper";
  request_.arithmetic = real_levels ? Arithmetic::kExponential : Arithmetic::kInt8Grid;
  metric_ = metric_of(options);
  if (!is_external(metric_)) output_ = find_output(*prepared_.model, options.output, prepared_.file);
  low_bit_activations_ = options.emit_exact && !options.weights_only;
  if (options.counting) check_counting(prepared_);
  if (options.emit_exact) emissions_.push_back(Emission::kExact);
  if (options.emit_standard) emissions_.push_back(Emission::kMain);
}

void Network::measure(const Calls& calls) {
  std::error_code failed;
  for (const std::filesystem::path& written :
       {directory() / (input_.stem + ".xml"), directory() / "exact" / (input_.stem + ".xml")})
    if (std::filesystem::equivalent(written, input_.model_file, failed))
      throw Error(fmt::format("'{}' is the network itself, which the result would replace; choose another {}",
                              written.string(), option("directory")));
  const std::filesystem::path measurements = directory() / "measurements";
  if (!options_.resume) std::filesystem::remove_all(measurements, failed);
  std::filesystem::create_directories(measurements, failed);
  if (failed)
    throw Error(fmt::format("the folder '{}' cannot be made: {}; choose another {}", measurements.string(),
                            failed.message(), option("directory")));
  // Only low-bit codes gain by it: 8-bit grids reach far enough, and the paper knows no such step. Computed anew by
  // every run, from the samples that `allocate` sees too.
  if (low_bit_activations_ && options_.strategy != "paper") {
    CenterOptions center_options;
    center_options.request = request_;
    center_options.uniform = options_.strategy == "uniform";
    center_options.threads = options_.threads;
    center_options.progress = progress_;
    prepared_ = center_activations(core_, original(), calls, center_options);
  }
  const bool rotates = options_.weights_only && options_.rotate && options_.strategy == "optimal";
  // OpenVINO's own operations would compute a transform as a matrix product.
  const bool transforms = options_.packed || options_.emit_exact;
  if (rotates) prepared_ = rotate(prepared_, options_.seed, transforms).prepared;
  const bool widths_are_given = options_.weight_bits && (options_.activation_bits || options_.weights_only);
  // Tables in which some rows may get more bits than others.
  if (options_.weights_only && options_.strategy == "optimal" && !widths_are_given) prepared_ = cut_tables(prepared_);
  std::string facts = fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}", prepared_.fingerprint,
                                  input_.calibration->fingerprint(), to_string(options_.family), options_.pow2_q,
                                  options_.strategy, to_string(metric_), output_, options_.seed, calls.digest());
  for (const Layer& layer : prepared_.layers)  // --only, --ignore and --untie
    facts += fmt::format("|{} {}{}", layer.name, owner_of(layer), layer.centered ? " centered" : "");
  const bool weights_only = options_.weights_only && options_.strategy != "paper";
  if (weights_only) facts += "|weights only";
  if (rotates) facts += transforms ? "|rotated, MLPs transformed" : "|rotated";
  const std::string key = key_ = to_hex(fnv1a(std::as_bytes(std::span(facts))));
  const std::filesystem::path file = measurements / "measurements.cbor";
  const bool needs_sensitivities = options_.strategy != "paper" && !widths_are_given;
  if (auto cached = load_measurements(key, prepared_.layers, file);
      cached && (cached->has_sensitivities || !needs_sensitivities)) {
    measurements_ = std::move(*cached);
  } else {
    MeasureOptions measure_options;
    measure_options.request = request_;
    measure_options.uniform = options_.strategy == "uniform";
    measure_options.weights_only = weights_only;
    measure_options.sensitivities = needs_sensitivities;
    measure_options.metric = metric_;
    measure_options.output = output_;
    // A command may read any output; so may whoever takes a network of several outputs further.
    measure_options.all_outputs =
        is_external(metric_) || (options_.output.empty() && prepared_.model->outputs().size() > 1);
    measure_options.seed = options_.seed;
    measure_options.threads = options_.threads;
    measure_options.progress = progress_;
    measurements_ = dnateq::measure(core_, prepared_, calls, measure_options);
    save_measurements(measurements_, key, file);
  }
  items_ = allocation_items(prepared_, measurements_, !low_bit_activations_, [&](const Layer& layer, int bits) {
    LayerCodes codes;  // only its sizes matter
    codes.code = with_level_counts(request_, bits);
    codes.codes.resize(static_cast<size_t>(layer.rows * layer.columns));
    codes.gamma.resize(static_cast<size_t>(layer.rows));
    return weight_bytes(layer, codes);
  });
  if (options_.counting)  // an 8-bit code without sign has more exponents than there are counters
    for (Allocatable& item : items_.items)
      if (!item.is_weights) item.largest_bits = std::min(item.largest_bits, kernels::kMostExponentBits);
}

double Network::bytes_beside_layers() const {
  // What a layer gets beside codes and scales, rounded up: a bias that makes up for rounding, and its step of a block
  // of rows or its operation's constants.
  constexpr double kStepBytes = 256;
  constexpr double kBiasBytes = 4;
  constexpr double kBiasBytesInBlock = 2;  // float16
  std::set<const void*> elsewhere;         // weights of layers, and matrices in whose place an operation of ours stands
  double added = 0;
  for (const Layer& layer : prepared_.layers) {
    elsewhere.insert(layer.weights()->get_data_ptr());
    const bool in_block = !prepared_.state.empty() && layer.kind == LayerKind::kMatMul;
    added += kStepBytes + static_cast<double>(layer.rows) * (in_block ? kBiasBytesInBlock : kBiasBytes);
  }
  const auto nodes = prepared_.model->get_ops();
  if (options_.packed || options_.emit_exact)
    for (const auto& node : nodes)
      if (node->get_output_size() == 1)
        if (const auto found = hadamard_behind(node->output(0))) elsewhere.insert(found->matrix);
  std::set<uint64_t> contents;  // OpenVINO writes equal ones once
  double bytes = 0;
  for (const auto& node : nodes) {
    const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(node);
    if (!constant || elsewhere.contains(constant->get_data_ptr())) continue;
    const std::span content(static_cast<const std::byte*>(constant->get_data_ptr()), constant->get_byte_size());
    if (contents.insert(fnv1a(content)).second) bytes += static_cast<double>(content.size());
  }
  double counted = 0;  // items_ has these
  for (const UnquantizedLayer& layer : prepared_.unquantized)
    counted += 4.0 * static_cast<double>(layer.weight_elements);
  return std::max(0.0, bytes - counted) + added;
}

// Rows of activations that a call at batch 1 gives a layer.
double Network::expected_rows(size_t l) const {
  if (options_.expected_rows > 0) return static_cast<double>(options_.expected_rows);
  const ActivationMeasurement* entering = measurements_.entering(l);
  const Layer& layer = prepared_.layers[l];
  return entering == nullptr ? 0 : entering->values / static_cast<double>(layer.columns * layer.groups);
}

// Layers of a language model are joined to few calls, so that none is too small for one.
bool Network::runs_packed(size_t l, int bits) const {
  return options_.packed && dnateq::runs_packed(prepared_.layers[l], bits, expected_rows(l), !prepared_.state.empty());
}

int64_t Network::weight_bytes(const Layer& layer, const LayerCodes& codes) const {
  const auto l = static_cast<size_t>(&layer - prepared_.layers.data());
  const bool blob = options_.emit_exact || runs_packed(l, codes.code.stored_bits);
  return blob ? exact_weight_bytes(layer, codes) : standard_weight_bytes(layer, codes);
}

bool Network::shares_base() const {
  return request_.family == Family::kSharedBase || (options_.counting && request_.family == Family::kBeta0);
}

std::shared_ptr<ov::Model> Network::emit_low_bit(const std::vector<LayerCodes>& codes) const {
  return options_.counting ? emit_counting(prepared_, codes) : emit_exact(prepared_, codes);
}

std::shared_ptr<ov::Model> Network::emit_main(const std::vector<LayerCodes>& codes) const {
  if (!options_.packed) return emit_standard(prepared_, codes);
  std::vector<bool> packed;
  for (size_t l = 0; l < codes.size(); ++l) packed.push_back(runs_packed(l, codes[l].code.stored_bits));
  return emit_cpu(prepared_, codes, packed);
}

// Whether the main emission leaves the layer to OpenVINO's INT8 kernels, of any CPU.
bool Network::on_int8_kernels(size_t l, int bits) const {
  return options_.emit_standard && options_.target_isa == TargetIsa::kAny && !runs_packed(l, bits);
}

std::vector<LayerPlan> Network::plan_for(std::span<const int> bits) const {
  std::vector<LayerPlan> plan;
  for (size_t l = 0; l < prepared_.layers.size(); ++l) {
    LayerPlan layer;
    if (const auto item = items_.of_weights[l]) layer.weights = with_level_counts(request_, bits[*item]);
    const ActivationMeasurement* entering = measurements_.entering(l);
    if (entering != nullptr && !options_.weights_only) {
      const auto item = items_.of_activations[*measurements_.layers[l].activation];
      layer.activations = item ? entering->fits[static_cast<size_t>(bits[*item])].code : entering->uniform8.code;
      if (shares_base()) layer.weights.base = layer.activations->base;
    }
    if (entering == nullptr && shares_base()) layer.weights.family = Family::kFree;  // no partner to share with
    layer.any_cpu = !low_bit_activations_ && on_int8_kernels(l, layer.weights.stored_bits);
    plan.push_back(layer);
  }
  return plan;
}

std::vector<LayerPlan> Network::main_plan_for(const std::vector<SolvedLayer>& shared) const {
  std::vector<LayerPlan> plan;
  for (size_t l = 0; l < shared.size(); ++l) {
    LayerPlan layer = shared[l].plan;
    if (layer.activations) layer.activations = measurements_.entering(l)->uniform8.code;
    layer.any_cpu = on_int8_kernels(l, layer.weights.stored_bits);
    plan.push_back(layer);
  }
  return plan;
}

std::vector<SolvedLayer> Network::run(const std::vector<LayerPlan>& plan, const Calls& calls, const std::string& stage,
                                      const std::string& key) const {
  PassOptions pass;
  pass.solve.uniform = options_.strategy == "uniform";
  pass.solve.keep_base = options_.counting;
  pass.weights_only = options_.weights_only;
  pass.seed = options_.seed;
  pass.threads = options_.threads;
  pass.progress = progress_;
  pass.stage = stage;
  pass.checkpoints = directory() / "measurements" / ("pass-" + key);
  std::filesystem::create_directories(pass.checkpoints);
  return solved(plan, run_pass(core_, prepared_, calls, plan, pass));
}

Network::Codes Network::solve_first(std::span<const int> bits, const Calls& calls, const std::string& stage) const {
  Codes codes;
  codes.shared = run(plan_for(bits), calls, stage, key_of(bits, calls));
  return codes;
}

void Network::solve_main(Codes& codes, std::span<const int> bits, const Calls& calls, const std::string& stage) const {
  // Alone, the main emission was solved for its own activations already; without activations there is no difference.
  if (codes.main || !options_.emit_standard || !low_bit_activations_) return;
  codes.main = run(main_plan_for(codes.shared), calls, fmt::format("{} ({})", stage, name_of(Emission::kMain)),
                   key_of(bits, calls) + "-main");
}

Network::Codes Network::solve(std::span<const int> bits, const Calls& calls, const std::string& stage) const {
  Codes codes = solve_first(bits, calls, stage);
  solve_main(codes, bits, calls, stage);
  return codes;
}

Network::Codes Network::complete(const std::vector<LayerPlan>& plan, const Calls& calls) const {
  PassOptions pass;
  pass.threads = options_.threads;
  pass.progress = progress_;
  return {solved(plan, run_pass(core_, prepared_, calls, plan, pass)), {}};
}

std::string Network::key_of(std::span<const int> bits, const Calls& calls) const {
  const std::string rest =
      fmt::format("{}|{}|{}|{}|{}|{}|{}{}", key_, low_bit_activations_, options_.weights_only, calls.digest(),
                  options_.emit_standard, options_.packed, to_string(options_.target_isa),
                  options_.counting ? "|counting" : "");  // codes differ where the base is shared for it
  return to_hex(fnv1a(std::as_bytes(std::span(rest)), fnv1a(std::as_bytes(bits))));
}

std::vector<LayerCodes> Network::layer_codes(const std::vector<SolvedLayer>& solved) const {
  std::vector<LayerCodes> all;
  for (size_t l = 0; l < solved.size(); ++l) {
    LayerCodes codes;
    static_cast<WeightCodes&>(codes) = solved[l].solution;
    codes.any_cpu = options_.target_isa == TargetIsa::kAny;
    codes.activations = solved[l].plan.activations;
    if (codes.activations) {
      const ActivationMeasurement& entering = *measurements_.entering(l);
      codes.range_high = magnitudes(entering.uniform8.code).back();
      codes.range_low = entering.non_negative ? 0.0F : -codes.range_high * 128.0F / 127.0F;
      codes.residual_limit = measurements_.layers[l].residual_limit;
    }
    all.push_back(std::move(codes));
  }
  return all;
}

std::string Network::name_of(Emission emission) const {
  if (emission == Emission::kExact) return options_.counting ? "counting" : "exact";
  return options_.packed ? "cpu" : "standard";
}

std::shared_ptr<ov::Model> Network::emitted(const Codes& codes, Emission emission) const {
  const std::vector<LayerCodes> layers = layer_codes(codes.of(emission));
  return emission == Emission::kExact ? emit_low_bit(layers) : emit_main(layers);
}

void Network::save(const Codes& codes, Emission emission, const std::filesystem::path& folder) const {
  const std::shared_ptr<ov::Model> model = emitted(codes, emission);
  restore_state(model, prepared_.state);
  save_model_files(model, folder, input_.stem);
}

std::filesystem::path Network::save_candidate(const Codes& codes, Emission emission) const {
  const std::filesystem::path folder = directory() / "measurements" / "candidate";
  std::filesystem::create_directories(folder);
  save(codes, emission, folder);
  return folder / (input_.stem + ".xml");
}

std::filesystem::path Network::folder_of(Emission emission) const {
  return emission == Emission::kExact && options_.emit_standard ? directory() / "exact" : directory();
}

void Network::save_models(const Codes& codes) const {
  for (const Emission emission : emissions_) {
    std::filesystem::create_directories(folder_of(emission));
    save(codes, emission, folder_of(emission));
  }
}

int64_t Network::weight_file_bytes(Emission emission) const {
  if (std::find(emissions_.begin(), emissions_.end(), emission) == emissions_.end()) return 0;
  return static_cast<int64_t>(std::filesystem::file_size(folder_of(emission) / (input_.stem + ".bin")));
}

void Network::describe_files(Emission emission, EmissionResult& result) const {
  result.bytes = weight_file_bytes(emission);
  result.graph_bytes = static_cast<int64_t>(std::filesystem::file_size(folder_of(emission) / (input_.stem + ".xml")));
  const auto parameters = static_cast<double>(prepared_.parameters);
  result.bits_on_disk = parameters > 0 ? 8 * static_cast<double>(result.bytes) / parameters : 0;
}

void Network::describe_passed(const Codes& codes, const Calls& calls, Recipe& recipe) const {
  const Emission emission = emissions_.front();  // exact, where it is written
  describe_passed_tensors(name_of(emission), passed_tensors(emitted(codes, emission), calls), recipe);
}

void Network::describe(const Codes& codes, QuantizeResult& result) const {
  Recipe& recipe = result.recipe;
  recipe.model_file = input_.model_file.filename().string();
  if (input_.stem != "model")  // of a folder, which the result's files are named after
    recipe.model_file = (input_.model_file.parent_path().filename() / recipe.model_file).string();
  recipe.data_fingerprint = input_.calibration->fingerprint();
  recipe.options = options_.options_text;
  recipe.strategy = options_.strategy;
  recipe.seed = options_.seed;
  recipe.target_isa = options_.target_isa;
  describe_layers(prepared_, measurements_, codes.shared, result);
  const std::vector<LayerCodes> layers = layer_codes(codes.shared);
  for (size_t l = 0; l < layers.size(); ++l)
    recipe.layers[l].weights.bytes = recipe.layers[l].shares_weights_with.empty()
                                         ? weight_bytes(prepared_.layers[l], layers[l])
                                         : second_form_bytes(l, layers);
  if (codes.main) describe_main_codes(*codes.main, recipe);
}

int64_t Network::second_form_bytes(size_t l, const std::vector<LayerCodes>& codes) const {
  const size_t o = *prepared_.layers[l].shares_weights_with;
  const Layer& owner = prepared_.layers[o];
  const int bits = codes[l].code.stored_bits;
  const bool packed = runs_packed(l, bits);
  if (options_.emit_exact || !options_.packed || packed == runs_packed(o, bits)) return 0;
  const size_t of_openvino = packed ? o : l;
  if (reads_levels_of_blob(prepared_.layers[of_openvino], codes[of_openvino])) return 0;
  return packed ? exact_weight_bytes(owner, codes[l]) : standard_weight_bytes(owner, codes[l]);
}

}  // namespace dnateq
