#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <openvino/opsets/opset13.hpp>

#include "core/pack.h"
#include "core/pair_sums.h"
#include "emit/emit.h"
#include "emit/test_forms.h"
#include "kernels/row_quantizer.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;
using namespace forms;  // NOLINT: test code of this folder

class EmitCpu : public Emit {};

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

TEST_F(EmitCpu, PacksAMatMulOfFewRows) {
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

TEST_F(EmitCpu, IsStandardWhereNotWantedOrNotRows) {
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

// OpenVINO GenAI has the last token alone computed where it finds a MatMul before the result.
TEST_F(EmitCpu, TheHeadOfALanguageModelIsAMatMulToThoseWhoLookForOneAndPackedWhenCompiled) {
  Net net = make_net(Form::kMatMulTransposed, 4, false);
  const std::vector<float> all = saved_and_run(emit_cpu(net.prepared, net.codes, {true}), net.input, true);
  EXPECT_EQ(operations(emit_cpu(net.prepared, net.codes, {true}), "PackedHead"), 0U) << "no state, no language model";
  net.prepared.state.variables.push_back(
      std::make_shared<ov::op::util::Variable>(ov::op::util::VariableInfo{{-1}, ov::element::f32, "cache"}));
  const auto model = emit_cpu(net.prepared, net.codes, {true});
  EXPECT_EQ(operations(model, "PackedHead"), 1U);
  EXPECT_EQ(saved_and_run(model, net.input, true), all);
  EXPECT_EQ(operations(model->clone(), "PackedMatMul"), 1U);

  const auto head = ov::as_type_ptr<op::MatMul>(model->output(0).get_node()->get_input_node_shared_ptr(0));
  ASSERT_TRUE(head);
  const auto i64 = [](int64_t value) { return op::Constant::create(ov::element::i64, ov::Shape{1}, {value}); };
  head->input(0).replace_source_output(
      std::make_shared<op::Slice>(head->input_value(0), i64(-1), i64(-2), i64(-1), i64(1)));
  model->validate_nodes_and_infer_types();
  EXPECT_EQ(model->output(0).get_partial_shape(), (ov::PartialShape{-1, 1, 8}));
  const std::vector<float> last = saved_and_run(model, net.input, true);
  ASSERT_EQ(last.size(), 2U * 8);
  for (size_t i = 0; i < last.size(); ++i) EXPECT_EQ(last[i], all[i / 8 * 24 + 16 + i % 8]);
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

TEST_F(EmitCpu, DecodesTheEmbeddingRowsThatAreLookedUp) {
  const Net net = make_net(Form::kGather, 5);
  const auto model = emit_cpu(net.prepared, net.codes, {true});
  EXPECT_EQ(operations(model, "ExponentialEmbedding"), 1U);
  EXPECT_EQ(saved_and_run(model, net.input, true), saved_and_run(emit_exact(net.prepared, net.codes), net.input, true));
}

TEST_F(EmitCpu, LayersOfOneTensorShareACall) {
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
TEST_F(EmitCpu, StoresATableOnceWhoeverReadsIt) {
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
    EXPECT_TRUE(reads_levels_of_blob(net.prepared.layers[1], net.codes[1]));
    EXPECT_FALSE(reads_levels_of_blob(real.prepared.layers[1], real.codes[1]));
    // Nor may OpenVINO's kernels have those of the blob where their sums would not fit on every CPU.
    Net unsafe = net;
    const auto largest = static_cast<uint8_t>(std::max_element(table.begin(), table.end()) - table.begin());
    for (LayerCodes& codes : unsafe.codes) std::fill(codes.codes.begin(), codes.codes.end(), largest);
    EXPECT_EQ(operations(emit_cpu(unsafe.prepared, unsafe.codes, {true, false}), "ExponentialLevels"), 0U);
    EXPECT_FALSE(reads_levels_of_blob(unsafe.prepared.layers[1], unsafe.codes[1]));
    for (LayerCodes& codes : unsafe.codes) codes.any_cpu = false;
    EXPECT_EQ(operations(emit_cpu(unsafe.prepared, unsafe.codes, {true, false}), "ExponentialLevels"), 1U);
    EXPECT_TRUE(reads_levels_of_blob(unsafe.prepared.layers[1], unsafe.codes[1]));
  }
}

TEST_F(EmitCpu, RunsConcurrentlyFromTheModelCacheAndAtOtherBatches) {
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

}  // namespace
}  // namespace dnateq
