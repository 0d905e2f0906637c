#include "emit/emit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <openvino/opsets/opset13.hpp>
#include <random>
#include <set>

#include "core/isa.h"
#include "core/pack.h"
#include "core/pair_sums.h"
#include "dnateq/error.h"
#include "kernels/row_quantizer.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

namespace fs = std::filesystem;
namespace op = ov::opset13;
using testing::HasSubstr;

enum class Form {
  kConvolution,
  kConvolution1d,
  kGrouped,
  kDepthwise,
  kMatMul,
  kMatMulTransposed,
  kMatMulLeft,
  kGather
};

// The int8 grid's scale differs per call, so that no two layers' tables or units are the same bytes.
TensorCode make_code(int stored_bits, double grid, int negatives = -1) {
  TensorCode code = with_level_counts(TensorCode{}, stored_bits, negatives);
  code.base = stored_bits > 5 ? 1.0001 : 1.3;
  code.grid = grid;
  const double top = std::pow(code.base, std::max(code.positive_levels, code.negative_levels) - 1);
  const double highest = 127.0 / grid, lowest = (stored_bits > 6 ? 1.0 : 3.0) / grid;
  code.alpha = top > 1.0 ? (highest - lowest) / (top - 1.0) : highest;
  code.beta = lowest - code.alpha;
  return code;
}

std::vector<float> random_values(size_t count, unsigned seed, float scale = 1.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

std::shared_ptr<op::Constant> constant(const ov::Shape& shape, const std::vector<float>& values) {
  return op::Constant::create(ov::element::f32, shape, values);
}

// A network of one layer (and a bias where `with_add`), and the codes of its weights.
struct Net {
  PreparedModel prepared;
  std::vector<LayerCodes> codes;
  ov::Tensor input;
};

// As a search leaves them: no two levels that OpenVINO's kernels may add in 16 bits are too large together.
void make_safe(const Layer& layer, LayerCodes& codes) {
  const std::vector<ColumnPair> pairs = layer.added_pairs();
  const PairLimit limit(codes.code, pairs);
  const std::vector<float> levels = level_table(codes.code);
  const auto columns = static_cast<size_t>(layer.columns);
  const std::vector<float> importance(columns, 1.0F);
  for (size_t row = 0; row < codes.codes.size(); row += columns) {
    std::vector<float> wanted;
    for (size_t c = 0; c < columns; ++c) wanted.push_back(levels[codes.codes[row + c]]);
    limit.apply(std::span(codes.codes).subspan(row, columns), wanted, importance);
  }
}

Net make_net(Form form, int bits, bool with_add = true) {
  const int rows = 8;
  Net net;
  Layer layer;
  layer.name = "layer";
  ov::Shape weights, input;
  ov::PartialShape declared;
  switch (form) {
    case Form::kConvolution:
      weights = {8, 5, 3, 3}, input = {2, 5, 9, 9};
      break;
    case Form::kConvolution1d:
      weights = {8, 5, 3}, input = {2, 5, 17};
      break;
    case Form::kGrouped:
      weights = {2, 4, 3, 3, 3}, input = {2, 6, 9, 9};
      break;
    case Form::kDepthwise:
      weights = {8, 1, 1, 3, 3}, input = {2, 8, 9, 9};
      break;
    case Form::kMatMul:
      weights = {13, 8}, input = {2, 3, 13};
      break;
    case Form::kMatMulTransposed:
      weights = {8, 13}, input = {2, 3, 13};
      break;
    case Form::kMatMulLeft:
      weights = {8, 13}, input = {2, 13, 5};
      break;
    case Form::kGather:
      weights = {8, 13}, input = {2, 4};
      break;
  }
  declared = input;
  declared[0] = -1;
  const bool is_gather = form == Form::kGather;
  const auto parameter = std::make_shared<op::Parameter>(is_gather ? ov::element::i64 : ov::element::f32, declared);
  parameter->set_friendly_name("input");
  parameter->output(0).set_names({"input"});
  const auto w = constant(weights, random_values(ov::shape_size(weights), 3));
  const size_t spatial = weights.size() - (form == Form::kGrouped || form == Form::kDepthwise ? 3 : 2);
  const ov::Strides ones(spatial, 1);
  const ov::CoordinateDiff pads(spatial, 1);
  ov::Shape bias_shape;
  switch (form) {
    case Form::kConvolution:
    case Form::kConvolution1d:
      layer.kind = LayerKind::kConvolution;
      layer.node = std::make_shared<op::Convolution>(parameter, w, ones, pads, pads, ones);
      bias_shape = ov::Shape(weights.size(), 1);
      bias_shape[1] = rows;
      break;
    case Form::kGrouped:
    case Form::kDepthwise:
      layer.kind = LayerKind::kGroupConvolution;
      layer.groups = static_cast<int64_t>(weights[0]);
      layer.node = std::make_shared<op::GroupConvolution>(parameter, w, ones, pads, pads, ones);
      bias_shape = {1, rows, 1, 1};
      break;
    case Form::kMatMul:
    case Form::kMatMulTransposed:
      layer.kind = LayerKind::kMatMul;
      layer.weights_transposed = form == Form::kMatMul;
      layer.node = std::make_shared<op::MatMul>(parameter, w, false, form == Form::kMatMulTransposed);
      bias_shape = {rows};
      break;
    case Form::kMatMulLeft:
      layer.kind = LayerKind::kMatMul;
      layer.weight_port = 0;
      layer.activation_port = 1;
      layer.node = std::make_shared<op::MatMul>(w, parameter, false, false);
      bias_shape = {rows, 1};
      break;
    case Form::kGather:
      layer.kind = LayerKind::kEmbedding;
      layer.weight_port = 0;
      layer.activation_port = 1;
      layer.node = std::make_shared<op::Gather>(w, parameter, op::Constant::create(ov::element::i32, {}, {0}));
      break;
  }
  layer.node->set_friendly_name(layer.name);
  layer.rows = rows;
  layer.columns = static_cast<int64_t>(ov::shape_size(weights)) / rows;
  std::shared_ptr<ov::Node> last = layer.node;
  if (with_add && !is_gather) {
    last = std::make_shared<op::Add>(last, constant(bias_shape, random_values(rows, 5)));
    last = std::make_shared<op::Relu>(last);
  }
  last->output(0).set_names({"output"});
  net.prepared.model = std::make_shared<ov::Model>(ov::OutputVector{last}, ov::ParameterVector{parameter}, "net");
  net.prepared.layers = {layer};

  LayerCodes codes;
  codes.code = make_code(bits, 100.0 + bits);
  std::mt19937 random(11);
  for (int64_t i = 0; i < layer.rows * layer.columns; ++i)
    codes.codes.push_back(static_cast<uint8_t>(random() % (1U << bits)));
  for (const float gamma : random_values(rows, 13)) codes.gamma.push_back(to_float16(gamma));
  if (!is_gather) {
    make_safe(layer, codes);
    codes.bias = random_values(rows, 17);
    codes.activations = make_code(4, 90.0);
    codes.range_high = 3.0F;
    codes.range_low = -3.0F * 128 / 127;
  }
  net.codes = {codes};
  if (is_gather) {
    net.input = ov::Tensor(ov::element::i64, input);
    for (size_t i = 0; i < net.input.get_size(); ++i) net.input.data<int64_t>()[i] = static_cast<int64_t>((i * 5) % 8);
  } else {
    net.input = ov::Tensor(ov::element::f32, input);
    const std::vector<float> values = random_values(net.input.get_size(), 19, 1.5F);
    std::copy(values.begin(), values.end(), net.input.data<float>());
  }
  return net;
}

std::vector<float> decoded_weights(const Layer& layer, const LayerCodes& codes) {
  const std::vector<float> levels = level_table(codes.code);
  std::vector<float> matrix(codes.codes.size());
  for (size_t i = 0; i < matrix.size(); ++i)
    matrix[i] = from_float16(codes.gamma[i / static_cast<size_t>(layer.columns)]) * levels[codes.codes[i]];
  return layer.to_model_layout(matrix);
}

// The FP32 network with decoded weights and the bias added to the layer's output.
std::shared_ptr<ov::Model> decoded_network(const Net& net, bool fake_quantize) {
  const auto model = net.prepared.model->clone();
  const Layer& layer = net.prepared.layers[0];
  const LayerCodes& codes = net.codes[0];
  for (const auto& node : model->get_ordered_ops()) {
    if (node->get_friendly_name() != layer.name) continue;
    const ov::Shape shape = node->get_input_shape(layer.weight_port);
    node->input(layer.weight_port).replace_source_output(constant(shape, decoded_weights(layer, codes)));
    if (fake_quantize && codes.activations) {
      const auto low = constant({}, {codes.range_low}), high = constant({}, {codes.range_high});
      node->input(layer.activation_port)
          .replace_source_output(
              std::make_shared<op::FakeQuantize>(node->input_value(layer.activation_port), low, high, low, high, 256));
    }
    const auto next = *node->output(0).get_target_inputs().begin();
    const auto added = ov::as_type_ptr<op::Constant>(
        next.get_node()->get_input_size() == 2 ? next.get_node()->get_input_node_shared_ptr(1) : nullptr);
    if (!codes.bias.empty() && added) {  // one sum, as emission makes it: a second Add would round twice
      std::vector<float> sum = added->cast_vector<float>();
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += codes.bias[i];
      next.get_node()->input(1).replace_source_output(constant(added->get_shape(), sum));
    } else if (!codes.bias.empty()) {
      ov::Shape bias(node->get_output_partial_shape(0).size(), 1);
      bias[layer.kind == LayerKind::kMatMul && layer.weight_port == 1 ? bias.size() - 1 : 1] = codes.bias.size();
      const auto consumers = node->output(0).get_target_inputs();
      const auto add = std::make_shared<op::Add>(node, constant(bias, codes.bias));
      for (ov::Input<ov::Node> input : consumers) input.replace_source_output(add);
    }
  }
  model->validate_nodes_and_infer_types();
  return model;
}

std::vector<float> infer(ov::CompiledModel compiled, const ov::Tensor& input) {
  ov::InferRequest request = compiled.create_infer_request();
  request.set_input_tensor(input);
  request.infer();
  const ov::Tensor output = request.get_output_tensor();
  return {output.data<float>(), output.data<float>() + output.get_size()};
}

std::vector<float> run(ov::Core& core, const std::shared_ptr<ov::Model>& model, const ov::Tensor& input) {
  return infer(core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32)), input);
}

class Emit : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("dnateq_emit_test_" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::vector<float> saved_and_run(const std::shared_ptr<ov::Model>& model, const ov::Tensor& input, bool ours) {
    save_model_files(model, folder_);
    ov::Core core;
    if (ours) core.add_extension(ops::operation_extensions());
    return run(core, core.read_model((folder_ / "model.xml").string()), input);
  }

  fs::path folder_;
};

class EmitEveryForm : public Emit, public testing::WithParamInterface<std::tuple<Form, bool>> {};

TEST_P(EmitEveryForm, StandardEqualsTheDecodedNetworkWithFakeQuantize) {
  const auto [form, with_add] = GetParam();
  // There it is the activations whose pairs cannot be limited; import turns such layers around.
  if (form == Form::kMatMulLeft && !adds_products_exactly())
    GTEST_SKIP() << "kernels without VNNI add pairs of activations where weights are on the left";
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits) {
    const Net net = make_net(form, bits, with_add);
    ov::Core core;
    const std::vector<float> expected = run(core, decoded_network(net, true), net.input);
    const std::vector<float> actual = saved_and_run(emit_standard(net.prepared, net.codes), net.input, false);
    ASSERT_EQ(actual.size(), expected.size());
    float largest = 0;
    for (const float value : expected) largest = std::max(largest, std::fabs(value));
    for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 2e-5F * largest) << bits << " " << i;
  }
}

TEST_F(Emit, StandardRoundsLevelsThatAreNotSafeOnEveryCpuToACoarserGrid) {
  Net net = make_net(Form::kConvolution, 6, false);
  LayerCodes& codes = net.codes[0];
  const TensorCode& code = codes.code;
  std::fill(codes.codes.begin(), codes.codes.end(), static_cast<uint8_t>(code.positive_levels));  // the largest level
  const auto largest_level = [&] {
    int largest = 0;
    for (const auto& node : emit_standard(net.prepared, net.codes)->get_ops())
      if (node->get_friendly_name() == net.prepared.layers[0].name + "/table")
        for (const int8_t level : ov::as_type<op::Constant>(node.get())->cast_vector<int8_t>())
          largest = std::max(largest, std::abs(int{level}));
    return largest;
  };
  EXPECT_EQ(largest_level(), kLargestSafeLevel);
  ov::Core core;
  const std::vector<float> expected = run(core, decoded_network(net, true), net.input);
  const std::vector<float> actual = saved_and_run(emit_standard(net.prepared, net.codes), net.input, false);
  float largest = 0;
  for (const float value : expected) largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 0.01F * largest) << i;
  codes.any_cpu = false;
  EXPECT_EQ(largest_level(), grid_magnitudes(code).back());
}

TEST_P(EmitEveryForm, ExactEqualsTheDecodedNetwork) {
  const auto [form, with_add] = GetParam();
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits) {
    const Net net = make_net(form, bits, with_add);
    ov::Core core;
    ov::Tensor quantized = net.input;
    if (net.codes[0].activations) {
      quantized = ov::Tensor(ov::element::f32, net.input.get_shape());
      Encoder(*net.codes[0].activations)
          .quantize(std::span<const float>(net.input.data<const float>(), net.input.get_size()),
                    std::span(quantized.data<float>(), quantized.get_size()));
    }
    const std::vector<float> expected = run(core, decoded_network(net, false), quantized);
    EXPECT_EQ(saved_and_run(emit_exact_decoded(net.prepared, net.codes), net.input, true), expected) << bits;
    const std::vector<float> actual = saved_and_run(emit_exact(net.prepared, net.codes), net.input, true);
    ASSERT_EQ(actual.size(), expected.size());
    float largest = 0;
    for (const float value : expected) largest = std::max(largest, std::fabs(value));
    for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 2e-6F * largest) << bits << " " << i;
  }
}

std::string form_name(const testing::TestParamInfo<EmitEveryForm::ParamType>& info) {
  static const char* names[] = {"Convolution", "Convolution1d",    "Grouped",    "Depthwise",
                                "MatMul",      "MatMulTransposed", "MatMulLeft", "Gather"};
  return std::string(names[static_cast<size_t>(std::get<0>(info.param))]) +
         (std::get<1>(info.param) ? "WithAdd" : "Alone");
}

INSTANTIATE_TEST_SUITE_P(All, EmitEveryForm,
                         testing::Combine(testing::Values(Form::kConvolution, Form::kConvolution1d, Form::kGrouped,
                                                          Form::kDepthwise, Form::kMatMul, Form::kMatMulTransposed,
                                                          Form::kMatMulLeft, Form::kGather),
                                          testing::Bool()),
                         form_name);

size_t operations(const std::shared_ptr<ov::Model>& model, const std::string& type) {
  size_t count = 0;
  for (const auto& node : model->get_ordered_ops()) count += node->get_type_name() == type;
  return count;
}

TEST_F(Emit, StandardRunsInt8KernelsAtEveryWidth) {
  ov::Core core;
  for (const Form form : {Form::kConvolution, Form::kDepthwise, Form::kMatMulTransposed}) {
    for (int bits = 2; bits <= 8; ++bits) {
      const Net net = make_net(form, bits);
      const ov::CompiledModel compiled = core.compile_model(emit_standard(net.prepared, net.codes), "CPU");
      std::string precision;
      for (const auto& node : compiled.get_runtime_model()->get_ordered_ops()) {
        const auto& info = node->get_rt_info();
        const auto type = info.at("layerType").as<std::string>();
        if (type == "Convolution" || type == "FullyConnected")
          precision = info.at("runtimePrecision").as<std::string>();
        EXPECT_NE(type, "Gather") << "codes of " << bits << " bits are not folded";
      }
      EXPECT_THAT(precision, testing::AnyOf("i8", "u8")) << bits << " bits";
    }
  }
}

TEST_F(Emit, StandardAndExactKeepNamesAndDynamicBatch) {
  for (const Form form : {Form::kConvolution, Form::kMatMul, Form::kGather}) {
    const Net net = make_net(form, 4, false);
    for (const auto& model : {emit_standard(net.prepared, net.codes), emit_exact(net.prepared, net.codes)}) {
      EXPECT_EQ(model->input(0).get_any_name(), "input");
      EXPECT_EQ(model->output(0).get_any_name(), "output");
      EXPECT_EQ(model->input(0).get_partial_shape(), net.prepared.model->input(0).get_partial_shape());
      EXPECT_EQ(model->output(0).get_partial_shape(), net.prepared.model->output(0).get_partial_shape());
    }
    EXPECT_EQ(net.prepared.model->output(0).get_any_name(), "output");
    EXPECT_EQ(operations(net.prepared.model, "FakeQuantize"), 0U);
  }
}

TEST_F(Emit, BiasJoinsTheAddThatFollows) {
  const Net with = make_net(Form::kConvolution, 4, true), without = make_net(Form::kConvolution, 4, false);
  EXPECT_EQ(operations(emit_exact_decoded(with.prepared, with.codes), "Add"), 1U);
  EXPECT_EQ(operations(emit_exact_decoded(without.prepared, without.codes), "Add"), 1U);
  EXPECT_EQ(operations(emit_exact(with.prepared, with.codes), "Add"), 0U);
}

TEST_F(Emit, ALayerWithoutCodesStaysFloat) {
  Net net = make_net(Form::kConvolution, 4);
  net.codes[0] = {};
  ov::Core core;
  const std::vector<float> expected = run(core, net.prepared.model, net.input);
  EXPECT_EQ(run(core, emit_standard(net.prepared, net.codes), net.input), expected);
  EXPECT_EQ(run(core, emit_exact(net.prepared, net.codes), net.input), expected);
}

// Two layers read one tensor with tied weights: an embedding would do the same.
Net make_tied_net(bool same_codes, Form form = Form::kMatMulTransposed) {
  Net net = make_net(form, 4, false);
  const auto& first = net.prepared.layers[0];
  const auto parameter = net.prepared.model->get_parameters()[0];
  const auto second =
      std::make_shared<op::MatMul>(parameter, first.node->input_value(1), false, form == Form::kMatMulTransposed);
  second->set_friendly_name("second");
  const auto sum = std::make_shared<op::Concat>(ov::OutputVector{first.node, second}, -1);
  net.prepared.model = std::make_shared<ov::Model>(ov::OutputVector{sum}, ov::ParameterVector{parameter}, "tied");
  Layer layer = first;
  layer.name = "second";
  layer.node = second;
  layer.shares_weights_with = 0;
  net.prepared.layers.push_back(layer);
  net.codes.push_back(net.codes[0]);
  if (!same_codes) net.codes[1].gamma[0] = to_float16(9.0F);
  return net;
}

// What PackedMatMul makes of its input: rows of int8, decoded.
ov::Tensor rounded_rows(const ov::Tensor& x) {
  const size_t inputs = x.get_shape().back(), rows = x.get_size() / inputs;
  std::vector<int8_t> levels(x.get_size());
  std::vector<float> scales(rows);
  kernels::quantize_rows_scalar(
      {x.data<const float>(), inputs, rows, inputs, levels.data(), inputs, scales.data(), nullptr});
  ov::Tensor rounded(ov::element::f32, x.get_shape());
  for (size_t i = 0; i < levels.size(); ++i)
    rounded.data<float>()[i] = static_cast<float>(levels[i]) * scales[i / inputs];
  return rounded;
}

TEST_F(Emit, CpuPacksAMatMulOfFewRows) {
  for (const Form form : {Form::kMatMul, Form::kMatMulTransposed})
    for (const bool with_add : {false, true})
      for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits) {
        const Net net = make_net(form, bits, with_add);
        const auto model = emit_cpu(net.prepared, net.codes, {true});
        EXPECT_EQ(operations(model, "PackedMatMul"), 1U);
        EXPECT_EQ(operations(model, "FakeQuantize") + operations(model, "MatMul") + operations(model, "Add"), 0U);
        ov::Core core;
        const std::vector<float> expected = run(core, decoded_network(net, false), rounded_rows(net.input));
        const std::vector<float> actual = saved_and_run(model, net.input, true);
        ASSERT_EQ(actual.size(), expected.size());
        float largest = 0;
        for (const float value : expected) largest = std::max(largest, std::fabs(value));
        for (size_t i = 0; i < actual.size(); ++i)
          ASSERT_NEAR(actual[i], expected[i], 2e-6F * largest) << bits << " bits, " << i;
      }
}

TEST_F(Emit, CpuIsStandardWhereNotWantedOrNotRows) {
  for (const Form form : {Form::kMatMulTransposed, Form::kConvolution, Form::kMatMulLeft}) {
    const Net net = make_net(form, 4);
    const auto expected = saved_and_run(emit_standard(net.prepared, net.codes), net.input, false);
    for (const bool wanted : {false, true}) {
      if (form == Form::kMatMulTransposed && wanted) continue;
      const auto model = emit_cpu(net.prepared, net.codes, {wanted});
      EXPECT_EQ(operations(model, "PackedMatMul"), 0U);
      EXPECT_EQ(saved_and_run(model, net.input, false), expected) << wanted;
    }
  }
}

// One MatMul layer of `width` x `width`.
Layer square_layer(int64_t width) {
  const auto x = std::make_shared<op::Parameter>(ov::element::f32, ov::PartialShape{-1, width});
  const auto side = static_cast<size_t>(width);
  const auto weights = op::Constant::create(ov::element::f32, {side, side}, std::vector<float>{1.0F});
  Layer layer;
  layer.kind = LayerKind::kMatMul;
  layer.node = std::make_shared<op::MatMul>(x, weights, false, true);
  layer.rows = layer.columns = width;
  return layer;
}

TEST(RunsPacked, WhereReadingWeightsBinds) {
  EXPECT_TRUE(runs_packed(square_layer(1024), 4, 1));
  EXPECT_TRUE(runs_packed(square_layer(1024), 4, 4));
  EXPECT_FALSE(runs_packed(square_layer(1024), 4, 8)) << "products bind";
  EXPECT_FALSE(runs_packed(square_layer(1024), 8, 1)) << "no byte is saved";
  EXPECT_FALSE(runs_packed(square_layer(1024), 4, 0)) << "rows unknown";
  EXPECT_FALSE(runs_packed(square_layer(64), 4, 1)) << "the call costs more than the bytes saved";
}

TEST_F(Emit, CpuDecodesTheEmbeddingRowsThatAreLookedUp) {
  const Net net = make_net(Form::kGather, 5);
  const auto model = emit_cpu(net.prepared, net.codes, {true});
  EXPECT_EQ(operations(model, "ExponentialEmbedding"), 1U);
  EXPECT_EQ(saved_and_run(model, net.input, true), saved_and_run(emit_exact(net.prepared, net.codes), net.input, true));
}

TEST_F(Emit, CpuLayersOfOneTensorShareACall) {
  const Net net = make_tied_net(false);
  const auto model = emit_cpu(net.prepared, net.codes, {true, true});
  EXPECT_EQ(operations(model, "PackedMatMul"), 1U);
  ov::Core core;
  Net first = make_net(Form::kMatMulTransposed, 4, false), second = first;
  second.codes[0].gamma[0] = to_float16(9.0F);
  const auto left = saved_and_run(emit_cpu(first.prepared, first.codes, {true}), net.input, true);
  const auto right = saved_and_run(emit_cpu(second.prepared, second.codes, {true}), net.input, true);
  const auto both = saved_and_run(model, net.input, true);
  ASSERT_EQ(both.size(), left.size() + right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(both[i / 8 * 16 + i % 8], left[i]);
    EXPECT_EQ(both[i / 8 * 16 + 8 + i % 8], right[i]);
  }
}

// Of a table that both our operations and OpenVINO's read, such as a decoder's, the file holds one form.
TEST_F(Emit, CpuStoresATableOnceWhoeverReadsIt) {
  for (const Form form : {Form::kMatMul, Form::kMatMulTransposed}) {
    Net net = make_tied_net(true, form);
    const std::vector<int8_t> table = int8_level_table(net.codes[0].code);
    for (LayerCodes& codes : net.codes)
      for (uint8_t& code : codes.codes)
        if (std::abs(int{table[code]}) > kLargestSafeLevel) code = 0;
    const auto model = emit_cpu(net.prepared, net.codes, {true, false});
    EXPECT_EQ(operations(model, "PackedMatMul"), 1U);
    EXPECT_EQ(operations(model, "ExponentialLevels"), 1U);
    EXPECT_EQ(operations(model, "Gather"), 0U);
    size_t blobs = 0;
    for (const auto& node : model->get_ops())
      if (const auto data = ov::as_type_ptr<op::Constant>(node))
        blobs += data->get_element_type() == ov::element::u8 || data->get_element_type() == ov::element::u4;
    EXPECT_EQ(blobs, 1U);
    // Our half as if alone, OpenVINO's the very integers that it has from codes of its own.
    const std::vector<float> tied = saved_and_run(model, net.input, true);
    const std::vector<float> ours = saved_and_run(emit_cpu(net.prepared, net.codes, {true, true}), net.input, true);
    const std::vector<float> theirs = saved_and_run(emit_standard(net.prepared, net.codes), net.input, false);
    const size_t rows = tied.size() / 16;
    for (size_t r = 0; r < rows; ++r)
      for (size_t i = 0; i < 16; ++i) EXPECT_EQ(tied[16 * r + i], (i < 8 ? ours : theirs)[16 * r + i]) << r << " " << i;
    // Real levels have no integers in the blob: two forms then.
    Net real = net;
    for (LayerCodes& codes : real.codes) codes.code.arithmetic = Arithmetic::kExponential;
    EXPECT_EQ(operations(emit_cpu(real.prepared, real.codes, {true, false}), "ExponentialLevels"), 0U);
    // Nor may OpenVINO's kernels have those of the blob where their sums would not fit on every CPU.
    Net unsafe = net;
    const auto largest = static_cast<uint8_t>(std::max_element(table.begin(), table.end()) - table.begin());
    for (LayerCodes& codes : unsafe.codes) std::fill(codes.codes.begin(), codes.codes.end(), largest);
    EXPECT_EQ(operations(emit_cpu(unsafe.prepared, unsafe.codes, {true, false}), "ExponentialLevels"), 0U);
    for (LayerCodes& codes : unsafe.codes) codes.any_cpu = false;
    EXPECT_EQ(operations(emit_cpu(unsafe.prepared, unsafe.codes, {true, false}), "ExponentialLevels"), 1U);
  }
}

TEST_F(Emit, CpuRunsConcurrentlyFromTheModelCacheAndAtOtherBatches) {
  const Net net = make_net(Form::kMatMulTransposed, 3);
  save_model_files(emit_cpu(net.prepared, net.codes, {true}), folder_);
  const std::vector<float> expected = saved_and_run(emit_cpu(net.prepared, net.codes, {true}), net.input, true);
  for (int round = 0; round < 2; ++round) {  // the second one restores the compiled model from the cache
    ov::Core core;
    core.add_extension(DNATEQ_EXTENSION_FILE);
    core.set_property(ov::cache_dir((folder_ / "cache").string()));
    ov::CompiledModel compiled = core.compile_model((folder_ / "model.xml").string(), "CPU", ov::num_streams(4),
                                                    ov::hint::inference_precision(ov::element::f32));
    std::vector<ov::InferRequest> requests;
    for (int i = 0; i < 8; ++i) {
      requests.push_back(compiled.create_infer_request());
      requests.back().set_input_tensor(net.input);
    }
    for (auto& request : requests) request.start_async();
    for (auto& request : requests) request.wait();
    for (auto& request : requests) {
      const ov::Tensor output = request.get_output_tensor();
      EXPECT_EQ(std::vector<float>(output.data<float>(), output.data<float>() + output.get_size()), expected);
    }
    const ov::Tensor one(ov::element::f32, {1, 3, 13}, net.input.data());
    const std::vector<float> of_one = infer(compiled, one);
    EXPECT_TRUE(std::equal(of_one.begin(), of_one.end(), expected.begin()));
    EXPECT_EQ(of_one.size(), expected.size() / 2);
  }
}

TEST_F(Emit, SharedWeightsAndTensorsAreStoredAndQuantizedOnce) {
  const Net net = make_tied_net(true);
  const auto standard = emit_standard(net.prepared, net.codes), exact = emit_exact_decoded(net.prepared, net.codes);
  EXPECT_EQ(operations(emit_exact(net.prepared, net.codes), "ExponentialEncode"), 1U);
  EXPECT_EQ(operations(standard, "FakeQuantize"), 1U);
  EXPECT_EQ(operations(standard, "Gather"), 1U);
  EXPECT_EQ(operations(exact, "ExponentialQuantize"), 1U);
  EXPECT_EQ(operations(exact, "ExponentialWeights"), 1U);
  EXPECT_EQ(standard_weight_bytes(net.prepared.layers[1], net.codes[1]), 0);
  const Net other = make_tied_net(false);
  EXPECT_EQ(operations(emit_standard(other.prepared, other.codes), "Gather"), 2U);
}

TEST_F(Emit, WeightBytesAreThoseInTheFile) {
  for (const Form form : {Form::kConvolution, Form::kMatMul, Form::kGather}) {
    for (int bits = 2; bits <= 8; ++bits) {
      for (const bool exact : {false, true}) {
        const Net net = make_net(form, bits);
        const auto model = exact ? emit_exact(net.prepared, net.codes) : emit_standard(net.prepared, net.codes);
        std::set<std::string> others;  // OpenVINO writes equal constants once
        for (const auto& node : model->get_ordered_ops()) {
          const auto data = ov::as_type_ptr<op::Constant>(node);
          const std::string& name = node->get_friendly_name();
          const bool weights =
              name.starts_with("layer/") && !name.ends_with("activation_code") && !name.ends_with("/bias");
          if (data && !weights) others.emplace(static_cast<const char*>(data->get_data_ptr()), data->get_byte_size());
        }
        int64_t bytes = exact ? exact_weight_bytes(net.prepared.layers[0], net.codes[0])
                              : standard_weight_bytes(net.prepared.layers[0], net.codes[0]);
        for (const std::string& other : others) bytes += static_cast<int64_t>(other.size());
        save_model_files(model, folder_);
        EXPECT_EQ(bytes, static_cast<int64_t>(fs::file_size(folder_ / "model.bin"))) << bits << " exact " << exact;
      }
    }
  }
}

TEST_F(Emit, RealLevelsOfAWeightsOnlyLayerAreKept) {
  Net net = make_net(Form::kMatMulTransposed, 4);
  net.codes[0].code.arithmetic = Arithmetic::kExponential;
  net.codes[0].activations.reset();
  ov::Core core;
  const std::vector<float> expected = run(core, decoded_network(net, true), net.input);
  const std::vector<float> actual = saved_and_run(emit_standard(net.prepared, net.codes), net.input, false);
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-5F * (1 + std::fabs(expected[i])));
}

TEST_F(Emit, NothingTemporaryIsLeftOrNamed) {
  const Net net = make_net(Form::kConvolution, 4);
  save_model_files(emit_standard(net.prepared, net.codes), folder_);
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_)) names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"model.bin", "model.xml"}));
  std::ifstream file(folder_ / "model.xml");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(text, testing::Not(HasSubstr("tmp")));
}

TEST_F(Emit, AFailedWriteIsASentenceAndLeavesNothing) {
  const Net net = make_net(Form::kConvolution, 4);
  const auto model = emit_standard(net.prepared, net.codes);
  EXPECT_THROW(save_model_files(model, "/proc/dnateq"), Error);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 200;  // bytes: stands in for a full disk
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  try {
    save_model_files(model, folder_);
  } catch (const Error& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, HasSubstr("Cannot write"));
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Emit, DamagedBlobsAreRefusedWithASentence) {
  for (const Form form : {Form::kConvolution, Form::kGather}) {
    const Net net = make_net(form, 4);
    save_model_files(emit_exact(net.prepared, net.codes), folder_);
    std::fstream bin(folder_ / "model.bin", std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(bin)), {});
    const size_t size = static_cast<size_t>(exact_weight_bytes(net.prepared.layers[0], net.codes[0]));
    size_t blob = std::string::npos;  // the weights' blob: the one of that size
    for (size_t at = bytes.find("DNTQ"); at != std::string::npos; at = bytes.find("DNTQ", at + 1)) {
      uint64_t stated = 0;
      std::memcpy(&stated, bytes.data() + at + 16, sizeof(stated));
      if (stated == size) blob = at;
    }
    ASSERT_NE(blob, std::string::npos);
    bin.clear();
    bin.seekp(static_cast<std::streamoff>(blob + size - 3));
    bin.put(static_cast<char>(bytes[blob + size - 3] ^ 0x10));
    bin.close();
    ov::Core core;
    core.add_extension(ops::operation_extensions());
    try {
      core.compile_model((folder_ / "model.xml").string(), "CPU");
      FAIL() << "damage went unnoticed";
    } catch (const ov::Exception& error) {
      EXPECT_THAT(error.what(), HasSubstr("is damaged (its checksum does not match)"));
    }
  }
}

TEST_F(Emit, ExactLoadsThroughTheSharedLibrary) {
  const Net net = make_net(Form::kDepthwise, 5, false);
  const auto model = emit_exact(net.prepared, net.codes);
  const std::vector<float> expected = saved_and_run(model, net.input, true);
  ov::Core core;
  core.add_extension(DNATEQ_EXTENSION_FILE);
  EXPECT_EQ(run(core, core.read_model((folder_ / "model.xml").string()), net.input), expected);
}

TEST_F(Emit, ExactSurvivesTheModelCache) {
  const Net net = make_net(Form::kConvolution, 5);
  save_model_files(emit_exact(net.prepared, net.codes), folder_);
  std::vector<std::vector<float>> outputs;
  for (int round = 0; round < 2; ++round) {  // the second one restores the compiled model from the cache
    ov::Core core;
    core.add_extension(ops::operation_extensions());
    core.set_property(ov::cache_dir((folder_ / "cache").string()));
    outputs.push_back(infer(
        core.compile_model((folder_ / "model.xml").string(), "CPU", ov::hint::inference_precision(ov::element::f32)),
        net.input));
  }
  EXPECT_FALSE(fs::is_empty(folder_ / "cache"));
  EXPECT_EQ(outputs[0], outputs[1]);
}

TEST_F(Emit, ExactRunsConcurrently) {
  const Net net = make_net(Form::kDepthwise, 4);
  ov::Core core;
  ov::CompiledModel compiled = core.compile_model(emit_exact(net.prepared, net.codes), "CPU", ov::num_streams(4),
                                                  ov::hint::inference_precision(ov::element::f32));
  std::vector<ov::InferRequest> requests;
  for (int i = 0; i < 8; ++i) {
    requests.push_back(compiled.create_infer_request());
    requests.back().set_input_tensor(net.input);
  }
  for (auto& request : requests) request.start_async();
  for (auto& request : requests) request.wait();
  const ov::Tensor first = requests[0].get_output_tensor();
  for (auto& request : requests)
    EXPECT_EQ(std::memcmp(request.get_output_tensor().data(), first.data(), first.get_byte_size()), 0);
}

TEST_F(Emit, EmbeddingCountsNegativeIndicesFromTheEndAndIgnoresOthers) {
  Net net = make_net(Form::kGather, 3);
  net.input.data<int64_t>()[0] = -1;
  net.input.data<int64_t>()[1] = 8;
  ov::Core core;
  const std::vector<float> weights = decoded_weights(net.prepared.layers[0], net.codes[0]);
  const std::vector<float> rows = run(core, emit_exact(net.prepared, net.codes), net.input);
  EXPECT_TRUE(std::equal(rows.begin(), rows.begin() + 13, weights.end() - 13));
  EXPECT_TRUE(std::all_of(rows.begin() + 13, rows.begin() + 26, [](float value) { return value == 0.0F; }));
}

TEST_F(Emit, CodesOfAnotherSizeAreRefused) {
  Net net = make_net(Form::kConvolution, 4);
  net.codes[0].codes.pop_back();
  EXPECT_THROW(emit_standard(net.prepared, net.codes), Error);
  EXPECT_THROW(emit_exact(net.prepared, {}), Error);
}

}  // namespace
}  // namespace dnateq
