#include "inspect/accelerator_workload.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <openvino/opsets/opset13.hpp>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "accelerator/precision.h"
#include "core/blob.h"
#include "core/option.h"
#include "core/pack.h"
#include "core/row_block.h"
#include "core/sentence.h"
#include "dnateq/error.h"
#include "ops/packed_block.h"
#include "search/fit.h"
#include "search/solve.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;
using accelerator::Operand;
using NodePtr = std::shared_ptr<ov::Node>;

int64_t size_of(const ov::Shape& shape) { return static_cast<int64_t>(ov::shape_size(shape)); }

bool is_constant(const ov::Output<ov::Node>& output) { return ov::is_type<op::Constant>(output.get_node()); }

bool is_product(const NodePtr& node) {
  return ov::is_type<op::Convolution>(node) || ov::is_type<op::GroupConvolution>(node) || ov::is_type<op::MatMul>(node);
}

// How many of `size` positions along one axis a convolution's windows touch; the others are never read, such as three
// quarters of the image under a 1 x 1 kernel of stride 2.
int64_t positions_read(int64_t size, int64_t outputs, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
  std::vector<bool> read(static_cast<size_t>(size), false);
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t at = o * stride + k * dilation - pad;
      if (at >= 0 && at < size) read[static_cast<size_t>(at)] = true;
    }
  return std::count(read.begin(), read.end(), true);
}

template <typename Convolution>
void describe_convolution(const Convolution& node, bool grouped, accelerator::Layer& layer) {
  const ov::Shape image = node.get_input_shape(0), kernel = node.get_input_shape(1), out = node.get_output_shape(0);
  const size_t spatial = image.size() - 2, first = kernel.size() - spatial;
  layer.kind = accelerator::LayerKind::kConvolution;
  layer.groups = grouped ? static_cast<int64_t>(kernel[0]) : 1;
  layer.outputs = static_cast<int64_t>(grouped ? kernel[1] : kernel[0]);
  layer.inputs = size_of(kernel) / (layer.groups * layer.outputs);
  layer.rows = static_cast<int64_t>(out[0]);
  layer.input_elements = static_cast<int64_t>(image[0] * image[1]);
  if (spatial <= 2) {  // a 1-D convolution is one row of an image
    accelerator::Geometry& g = layer.geometry;
    const auto reach = [&](size_t i) {
      return static_cast<int64_t>((kernel[first + i] - 1) * node.get_dilations()[i] + 1);
    };
    const size_t x = spatial - 1;
    g.input_width = static_cast<int64_t>(image[2 + x]);
    g.output_width = static_cast<int64_t>(out[2 + x]);
    g.kernel_width = reach(x);
    g.stride_width = static_cast<int64_t>(node.get_strides()[x]);
    g.input_height = spatial == 2 ? static_cast<int64_t>(image[2]) : 1;
    g.output_height = spatial == 2 ? static_cast<int64_t>(out[2]) : 1;
    g.kernel_height = spatial == 2 ? reach(0) : 1;
    g.stride_height = spatial == 2 ? static_cast<int64_t>(node.get_strides()[0]) : 1;
  }
  for (size_t i = 0; i < spatial; ++i) {
    layer.rows *= static_cast<int64_t>(out[2 + i]);
    layer.input_elements *=
        positions_read(static_cast<int64_t>(image[2 + i]), static_cast<int64_t>(out[2 + i]),
                       static_cast<int64_t>(kernel[first + i]), static_cast<int64_t>(node.get_strides()[i]),
                       static_cast<int64_t>(node.get_dilations()[i]), node.get_pads_begin()[i]);
  }
}

void describe_matmul(const op::MatMul& node, accelerator::Layer& layer) {
  ov::Shape a = node.get_input_shape(0), b = node.get_input_shape(1);
  const int64_t a_size = size_of(a);
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  const size_t inputs = node.get_transpose_a() && node.get_input_shape(0).size() > 1 ? a[a.size() - 2] : a.back();
  const size_t outputs = node.get_transpose_b() && node.get_input_shape(1).size() > 1 ? b[b.size() - 2] : b.back();
  layer.inputs = static_cast<int64_t>(inputs);
  layer.outputs = static_cast<int64_t>(outputs);
  layer.input_elements = a_size;
  const int64_t all_rows = size_of(node.get_output_shape(0)) / layer.outputs;  // over all groups
  if (b.size() > 2) {
    for (size_t i = 0; i + 2 < b.size(); ++i) layer.groups *= static_cast<int64_t>(b[i]);
  }
  layer.rows = all_rows / layer.groups;
}

// The layer whose output arrives at a tensor by element-wise operations, normalizations and moves alone, so that it can
// stay on chip; of the branches of a sum, the one that is computed last. Operations that change the number of values
// (pooling, means, concatenation) end the way: -1.
class Producers {
 public:
  explicit Producers(const std::unordered_map<const ov::Node*, int>& layer_of) : layer_of_(layer_of) {}

  int of(const ov::Output<ov::Node>& output) {
    const ov::Node* node = output.get_node();
    if (const auto layer = layer_of_.find(node); layer != layer_of_.end()) return layer->second;
    if (const auto known = known_.find(node); known != known_.end()) return known->second;
    int last = -1;
    if (node->get_output_size() == 1 && output.get_partial_shape().is_static()) {
      const size_t values = ov::shape_size(output.get_shape());
      for (const auto& input : node->input_values())
        if (!is_constant(input) && input.get_partial_shape().is_static() &&
            ov::shape_size(input.get_shape()) == values && !is_lookup(*node))
          last = std::max(last, of(input));
    }
    known_[node] = last;
    return last;
  }

 private:
  static bool is_lookup(const ov::Node& node) {
    const std::string type = node.get_type_name();
    return type == "Gather" || type == "Concat" || type == "GatherND" || type == "GatherElements";
  }

  const std::unordered_map<const ov::Node*, int>& layer_of_;
  std::unordered_map<const ov::Node*, int> known_;
};

constexpr int kLevelsAnOctave = 32;                            // 127 levels then span nearly four octaves
constexpr float kStepsOfSigned = 254, kStepsOfUnsigned = 510;  // half steps of 127 and 255 up to the largest value

// Beside coded layers, the exponential designs run it as a code of 7 exponent bits, in the base of set_precision().
Operand int8_operand(double zero_fraction, std::string origin) {
  Operand operand;
  operand.base = std::exp2(1.0 / kLevelsAnOctave);
  operand.zero_fraction = zero_fraction;
  operand.origin = std::move(origin);
  return operand;
}

// Zeros of a symmetric 8-bit grid over the whole range of each row, as INT8 frameworks quantize weights.
double int8_zero_fraction(std::span<const float> rows, int64_t columns) {
  uint64_t zeros = 0;
  const auto width = static_cast<size_t>(columns);
  for (size_t begin = 0; begin < rows.size(); begin += width) {
    float largest = 0;
    for (size_t i = begin; i < begin + width; ++i) largest = std::max(largest, std::fabs(rows[i]));
    const float half_step = largest / kStepsOfSigned;
    for (size_t i = begin; i < begin + width; ++i) zeros += std::fabs(rows[i]) < half_step || rows[i] == 0 ? 1 : 0;
  }
  return rows.empty() ? 0 : static_cast<double>(zeros) / static_cast<double>(rows.size());
}

// The same for activations: one scale for the tensor, 255 steps where nothing is negative.
double int8_zero_fraction(const Histogram& histogram) {
  if (histogram.count() == 0) return 0;
  const bool is_signed = histogram.minimum() < 0;
  const float largest = std::max(-histogram.minimum(), histogram.maximum());
  const float half_step = largest / (is_signed ? kStepsOfSigned : kStepsOfUnsigned);
  uint64_t zeros = histogram.zeros();
  for (const Histogram::Bin& bin : histogram.bins())
    if (std::fabs(bin.center) < half_step) zeros += bin.count;
  return static_cast<double>(zeros) / static_cast<double>(histogram.count());
}

// What both kinds of operands have in common: the INT8 statistics of the network itself.
void measure_int8_weights(ModelWorkload& workload, const PreparedModel& prepared) {
  tbb::parallel_for(size_t{0}, workload.source.size(), [&](size_t i) {
    if (workload.source[i] < 0) return;
    const Layer& layer = prepared.layers[static_cast<size_t>(workload.source[i])];
    workload.int8.layers[i].weights =
        int8_operand(int8_zero_fraction(layer.weight_matrix(), layer.columns), "int8: a grid a channel");
  });
}

// A code that nobody fitted: 2^n levels over a factor of about 16, as accelerator::set_precision has it.
Operand unmeasured(int stored_bits, bool non_negative, std::string origin) {
  Operand operand =
      operand_of(with_level_counts({}, stored_bits, non_negative ? 0 : -1), std::nullopt, std::move(origin));
  operand.base = std::exp2(1 / std::exp2(operand.exponent_bits - 2));
  operand.levels = accelerator::Levels::kAssumed;
  return operand;
}

// Every emission computes these products in floating point, which the machine has not.
constexpr const char* kAttentionOrigin =
    "int8: the recipe has no codes for products of two activations and leaves them in FP32";

// "past_*" means every input whose name begins with "past_".
bool is_meant(const std::string& wanted, const std::string& name, const std::unordered_set<std::string>& names) {
  const auto fits = [&](const std::string& one) {
    return wanted.ends_with('*') ? one.starts_with(wanted.substr(0, wanted.size() - 1)) : one == wanted;
  };
  return fits(name) || std::any_of(names.begin(), names.end(), fits);
}

}  // namespace

std::map<std::string, std::vector<int64_t>> shapes_of(const Calls& calls, const PreparedModel& prepared,
                                                      int64_t batch) {
  std::map<std::string, std::vector<int64_t>> shapes;
  const std::vector<ov::Tensor> tensors = calls.tensors(0);
  const int64_t samples = calls.sample_count(0);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const ov::Output<ov::Node> input = prepared.model->input(i);
    const ov::Shape shape = tensors[i].get_shape();
    std::vector<int64_t> dims(shape.begin(), shape.end());
    const ov::PartialShape& open = input.get_partial_shape();
    if (!dims.empty() && dims[0] == samples && open.rank().is_static() && open[0].is_dynamic()) dims[0] = batch;
    shapes[input.get_any_name()] = dims;
  }
  return shapes;
}

void close_shapes(PreparedModel& prepared, int64_t batch, const std::map<std::string, std::vector<int64_t>>& shapes) {
  std::map<std::string, ov::PartialShape> closed;
  std::set<std::string> unused;
  for (const auto& [name, shape] : shapes) unused.insert(name);
  std::string names, open;
  for (const auto& input : prepared.model->inputs()) {
    ov::PartialShape shape = input.get_partial_shape();
    const std::string name = input.get_names().empty() ? input.get_node()->get_friendly_name() : input.get_any_name();
    names += (names.empty() ? "" : ", ") + name;
    bool given = false;
    for (const auto& [wanted, dims] : shapes) {
      if (!is_meant(wanted, name, input.get_names())) continue;
      shape = ov::PartialShape(std::vector<ov::Dimension>(dims.begin(), dims.end()));
      unused.erase(wanted);
      given = true;
    }
    if (!given && shape.rank().is_static() && shape.size() > 0 && shape[0].is_dynamic()) shape[0] = batch;
    if (shape.is_dynamic()) open += fmt::format("{}{} {}", open.empty() ? "" : ", ", name, shape.to_string());
    closed[name] = shape;
  }
  if (!unused.empty())
    throw Error(
        fmt::format("there is no input '{}' for {}; the inputs are {}", *unused.begin(), option("shape"), names));
  if (!open.empty())
    throw Error(fmt::format("'{}' has inputs of open shape ({}); give {}", prepared.file, open,
                            option_taking("shape", "NAME=DIM,DIM,...")));
  try {
    prepared.model->reshape(closed);
  } catch (const std::exception& error) {
    throw Error(fmt::format("'{}' does not take these shapes: {}", prepared.file, plain_sentence(error.what())));
  }
}

ModelWorkload workload_of(const PreparedModel& prepared, int64_t batch) {
  ModelWorkload result;
  accelerator::Workload& workload = result.coded;
  workload.name = std::filesystem::path(prepared.file).stem().string();
  workload.origin = prepared.file;
  workload.batch = batch;
  std::unordered_map<const ov::Node*, int> prepared_of, layer_of;
  for (size_t i = 0; i < prepared.layers.size(); ++i)
    if (prepared.layers[i].kind != LayerKind::kEmbedding)
      prepared_of[prepared.layers[i].node.get()] = static_cast<int>(i);
  for (const UnquantizedLayer& layer : prepared.unquantized)
    if (layer.type != "MatMul" && layer.type != "Convolution" && layer.type != "GroupConvolution" &&
        layer.type != "Gather")
      result.left_out.push_back(fmt::format("{} ({}): {}", layer.name, layer.type, layer.reason));
  Producers producers(layer_of);
  for (const NodePtr& node : prepared.model->get_ordered_ops()) {
    if (!is_product(node)) continue;
    if (is_constant(node->input_value(0)) && is_constant(node->input_value(1))) continue;
    if (node->get_input_partial_shape(0).is_dynamic() || node->get_input_partial_shape(1).is_dynamic() ||
        node->get_output_partial_shape(0).is_dynamic()) {
      result.left_out.push_back(
          fmt::format("{} ({}): its shape depends on values", node->get_friendly_name(), node->get_type_name()));
      continue;
    }
    accelerator::Layer layer;
    layer.name = node->get_friendly_name();
    if (const auto convolution = ov::as_type_ptr<op::Convolution>(node))
      describe_convolution(*convolution, false, layer);
    else if (const auto grouped = ov::as_type_ptr<op::GroupConvolution>(node))
      describe_convolution(*grouped, true, layer);
    else
      describe_matmul(*ov::as_type_ptr<op::MatMul>(node), layer);
    layer.weight_elements = size_of(node->get_input_shape(1));
    layer.output_elements = size_of(node->get_output_shape(0));
    layer.weights_are_activations = !is_constant(node->input_value(0)) && !is_constant(node->input_value(1));
    layer.producer = producers.of(node->input_value(0));
    if (layer.weights_are_activations) layer.weight_producer = producers.of(node->input_value(1));
    layer.weights = int8_operand(0, "int8");
    layer.activations = int8_operand(0, "int8");
    const auto found = prepared_of.find(node.get());
    result.source.push_back(found == prepared_of.end() ? -1 : found->second);
    layer_of[node.get()] = static_cast<int>(workload.layers.size());
    workload.layers.push_back(std::move(layer));
  }
  if (workload.layers.empty())
    throw Error(fmt::format("'{}' has no convolution and no matrix product to simulate", prepared.file));
  result.int8 = workload;
  measure_int8_weights(result, prepared);
  return result;
}

CodeCounts count_codes(const TensorCode& code, const Histogram& histogram) {
  CodeCounts counts(size_t{1} << code.stored_bits, 0.0);
  const Encoder encoder(code);
  counts[0] = static_cast<double>(histogram.zeros());
  for (const Histogram::Bin& bin : histogram.bins())
    counts[encoder.encode(bin.center)] += static_cast<double>(bin.count);
  return counts;
}

CodeCounts count_codes(const TensorCode& code, std::span<const uint8_t> codes) {
  CodeCounts counts(size_t{1} << code.stored_bits, 0.0);
  for (const uint8_t c : codes) counts.at(c) += 1;
  return counts;
}

Operand operand_of(const TensorCode& code, const std::optional<CodeCounts>& counts, std::string origin) {
  Operand operand;
  operand.stored_bits = code.stored_bits;
  const int levels = std::max(code.negative_levels, code.positive_levels);
  operand.exponent_bits = std::max(accelerator::kNarrowestExponentBits,
                                   static_cast<int>(std::bit_width(static_cast<unsigned>(std::max(1, levels - 1)))));
  operand.base = code.base;
  operand.beta_is_zero = code.beta == 0;
  operand.levels =
      code.arithmetic == Arithmetic::kInt8Grid ? accelerator::Levels::kInt8Grid : accelerator::Levels::kReal;
  operand.origin = std::move(origin);
  if (!counts) return operand;
  double all = 0;
  for (const double c : *counts) all += c;
  if (all <= 0) return operand;
  const double zeros = has_zero(code) ? counts->at(0) : 0;
  operand.zero_fraction = zeros / all;
  if (all <= zeros) return operand;
  operand.exponent_share.assign(static_cast<size_t>(levels), 0.0);
  const auto add_side = [&](size_t first, int side_levels) {
    for (size_t level = 0; level < static_cast<size_t>(side_levels); ++level)
      operand.exponent_share[level] += counts->at(first + level) / (all - zeros);
  };
  const auto first = static_cast<size_t>(first_level_code(code));
  add_side(first, code.positive_levels);
  add_side(first + static_cast<size_t>(code.positive_levels), code.negative_levels);
  return operand;
}

std::map<std::string, CodeCounts> emitted_code_counts(ov::Core& core, const std::filesystem::path& model) {
  std::map<std::string, CodeCounts> counts;
  const std::string suffix = "/weights";  // as emission_copy names the blobs
  const auto count = [&](const std::string& layer, std::span<const uint8_t> bytes) {
    const Blob blob = read_blob(bytes, layer);
    const auto values = static_cast<size_t>(blob.rows * blob.columns);
    counts[layer] = count_codes(blob.code, unpack(blob.codes, values, blob.code.stored_bits));
  };
  for (const NodePtr& node : read_model(core, model)->get_ops()) {
    if (const auto packed = ov::as_type_ptr<ops::PackedBlock>(node)) {
      const RowBlock block = packed->block();
      for (const RowBlock::Matrix& matrix : block.matrices) count(matrix.name, matrix.blob);
      continue;
    }
    const auto constant = ov::as_type_ptr<op::Constant>(node);
    const std::string name = node->get_friendly_name();
    if (!constant || constant->get_element_type() != ov::element::u8 || !name.ends_with(suffix)) continue;
    count(name.substr(0, name.size() - suffix.size()),
          {static_cast<const uint8_t*>(constant->get_data_ptr()), constant->get_byte_size()});
  }
  return counts;
}

void apply_recipe(ModelWorkload& workload, const PreparedModel& prepared, const Recipe& recipe,
                  const std::string& source, const RecipeStatistics& statistics) {
  std::map<std::string, const LayerRecipe*> by_name;
  for (const LayerRecipe& layer : recipe.layers) by_name[layer.name] = &layer;
  std::set<std::string> names;
  for (const Layer& layer : prepared.layers) {
    names.insert(layer.name);
    const auto found = by_name.find(layer.name);
    if (found == by_name.end()) continue;
    const ov::Shape shape = layer.weights()->get_shape();
    if (found->second->weight_shape != std::vector<int64_t>(shape.begin(), shape.end()))
      throw Error(fmt::format("'{}' is the recipe of another model than '{}': layer '{}' has other weights", source,
                              prepared.file, layer.name));
  }
  for (const LayerRecipe& layer : recipe.layers)
    if (!names.contains(layer.name))
      throw Error(fmt::format("'{}' is the recipe of another model than '{}', which has no layer '{}'", source,
                              prepared.file, layer.name));

  for (size_t i = 0; i < workload.source.size(); ++i) {
    accelerator::Layer& layer = workload.coded.layers[i];
    const auto found = by_name.find(layer.name);
    if (workload.source[i] < 0 || found == by_name.end()) {
      layer.weights = workload.int8.layers[i].weights;
      layer.activations = workload.int8.layers[i].activations;
      layer.weights.origin = layer.activations.origin =
          layer.weights_are_activations ? kAttentionOrigin : "int8: the recipe leaves this layer in FP32";
      layer.int8_lanes = true;
      continue;
    }
    const LayerRecipe& entry = *found->second;
    const std::string& owner = entry.shares_weights_with.empty() ? entry.name : entry.shares_weights_with;
    std::optional<CodeCounts> counts;
    std::string origin = "recipe; zeros not measured";
    if (const auto emitted = statistics.weight_counts.find(owner); emitted != statistics.weight_counts.end()) {
      counts = emitted->second;
      origin = "recipe, emitted codes";
    } else if (const auto seen = statistics.weights.find(entry.name); seen != statistics.weights.end()) {
      counts = count_codes(entry.weights.code, seen->second);
      origin = "recipe, nearest codes of its histogram";
    }
    if (counts && counts->size() != size_t{1} << entry.weights.code.stored_bits)
      throw Error(
          fmt::format("'{}' gives layer '{}' {} bits, but the codes beside it have another width; run dnateq "
                      "quantize again",
                      source, entry.name, entry.weights.code.stored_bits));
    layer.weights = operand_of(entry.weights.code, counts, origin);
    const auto seen = statistics.activations.find(entry.name);
    if (seen != statistics.activations.end())
      workload.int8.layers[i].activations =
          int8_operand(int8_zero_fraction(seen->second), "int8: range of calibration");
    if (!entry.activations) {
      layer.activations.origin = "int8: the recipe leaves them in FP32";
      if (seen != statistics.activations.end())
        layer.activations.zero_fraction = workload.int8.layers[i].activations.zero_fraction;
      continue;
    }
    counts.reset();
    if (seen != statistics.activations.end()) counts = count_codes(entry.activations->code, seen->second);
    layer.activations =
        operand_of(entry.activations->code, counts, counts ? "recipe, calibration" : "recipe; zeros not measured");
  }
}

void apply_bits(ModelWorkload& workload, const PreparedModel& prepared, int weight_bits, int activation_bits,
                const std::optional<ActivationHistograms>& activations, const Progress& progress) {
  Task task(progress, "fitting codes", workload.source.size());
  tbb::parallel_for(size_t{0}, workload.source.size(), [&](size_t i) {
    accelerator::Layer& layer = workload.coded.layers[i];
    if (workload.source[i] >= 0) {
      const auto index = static_cast<size_t>(workload.source[i]);
      const Layer& from = prepared.layers[index];
      const LayerSolution solution = quantize_rows(from.weight_matrix(), {from.rows, from.columns, from.groups},
                                                   with_level_counts({}, weight_bits));
      layer.weights = operand_of(solution.code, count_codes(solution.code, solution.codes), "nearest codes");
      const bool non_negative = cannot_be_negative(from.node->input_value(from.activation_port));
      if (const ActivationMeasurement* entering = activations ? activations->entering(index) : nullptr) {
        const Histogram& seen = entering->histogram;
        const TensorCode code = fit_activation(FitData::from_histogram(seen), {}, activation_bits, non_negative).code;
        layer.activations = operand_of(code, count_codes(code, seen), "nearest codes, calibration");
        workload.int8.layers[i].activations = int8_operand(int8_zero_fraction(seen), "int8: range of calibration");
      } else {
        layer.activations = unmeasured(activation_bits, non_negative, "asked for; zeros not measured");
      }
    } else if (!layer.weights_are_activations) {
      layer.weights.origin = layer.activations.origin = "int8: dnateq does not quantize this layer";
      layer.int8_lanes = true;
    }
    task.advance();
  });
  const Operand attention =
      unmeasured(activation_bits, false, "assumed: the bits asked for, for products of two activations too");
  for (accelerator::Layer& layer : workload.coded.layers)
    if (layer.weights_are_activations) layer.weights = layer.activations = attention;
}

}  // namespace dnateq
