// Small random language models in the layout of optimum-intel: dynamic batch and length, a cache of keys and values
// that is state, reordered by beam_idx. What tells architectures apart are options.
#pragma once

#include <limits>
#include <numeric>
#include <openvino/op/util/variable.hpp>

#include "graph/test_models.h"

namespace dnateq::testing {

struct LanguageModel {
  int64_t vocabulary = 130, width = 32, layers = 2, heads = 4, kv_heads = 2, hidden = 48;
  bool tied = true;       // the head reads the embeddings' table
  bool qkv_bias = false;  // Qwen2
  bool qk_norm = false;   // Qwen3: RMSNorm of queries and keys, head by head
  bool fused = false;     // Phi-3: queries, keys and values of one layer, gate and up of another
  bool sliced = false;    // Phi-3's joined layers are cut by slices
  bool keys_are_values = false;
  bool gpt2 = false;          // LayerNorm with bias, a table of positions, biases, GELU
  bool gemma = false;         // scaled embeddings, norms behind attention and MLP
  bool cache_length = false;  // what is read of the first cache is its length, too
  bool zero_length = false;   // GenAI's reader: 0 for the length in the target shape of broadcasts
  int compressed_bits = 0;    // 4 or 8: weights in u4 or u8, groups of 16 with zero points
  bool decompressed = false;  // the values of compressed_bits in float32
};

class LanguageModelMaker {
 public:
  explicit LanguageModelMaker(const LanguageModel& model) : m_(model), head_(model.width / model.heads) {}

  ModelPtr make() {
    const auto ids = parameter("input_ids", {-1, -1}, ov::element::i64);
    const auto mask = parameter("attention_mask", {-1, -1}, ov::element::i64);
    const auto positions = parameter("position_ids", {-1, -1}, ov::element::i64);
    beam_idx_ = parameter("beam_idx", {-1}, ov::element::i32);
    batch_ = dimension(ids, 0);
    length_ = dimension(ids, 1);
    mask_ = causal(mask);
    make_rotary(positions);
    table_ = weights("model.embed_tokens.weight", m_.vocabulary, m_.width);
    Output x = named<op::Gather>("model.embed_tokens", table_, ids, constant_i64(0));
    if (m_.gemma) x = std::make_shared<op::Multiply>(x, constant(ov::Shape{1, 1, 1}, {std::sqrt(32.0F)}));
    if (m_.gpt2) {
      const Output table = weights("wpe", 128, m_.width);
      x = std::make_shared<op::Add>(x, named<op::Gather>("wpe/Gather", table, positions, constant_i64(0)));
    }
    for (layer_ = 0; layer_ < m_.layers; ++layer_) {
      x = std::make_shared<op::Add>(x, after_block(attention(norm(x)), "post_attention"));
      x = std::make_shared<op::Add>(x, after_block(mlp(norm(x)), "post_mlp"));
    }
    const Output table = m_.tied ? table_ : weights("lm_head.weight", m_.vocabulary, m_.width);
    const auto logits = named<op::MatMul>("lm_head", norm(x), table, false, true);
    logits->output(0).set_names({"logits"});
    return std::make_shared<ov::Model>(ov::OutputVector{logits}, sinks_,
                                       ov::ParameterVector{ids, mask, positions, beam_idx_});
  }

 private:
  using Output = ov::Output<ov::Node>;

  static NodePtr constant_i64(int64_t value) { return op::Constant::create(ov::element::i64, {}, {value}); }
  static Output dimension(const Output& x, int64_t axis) {
    return std::make_shared<op::Gather>(std::make_shared<op::ShapeOf>(x), constant({axis}), constant_i64(0));
  }
  static Output joined(const ov::OutputVector& parts) { return std::make_shared<op::Concat>(parts, 0); }
  std::string in_layer(const std::string& name) const { return "model.layers." + std::to_string(layer_) + "." + name; }

  Output weights(const std::string& name, int64_t rows, int64_t columns) {
    const ov::Shape shape{static_cast<size_t>(rows), static_cast<size_t>(columns)};
    const float sigma = 1.0F / std::sqrt(static_cast<float>(columns));
    std::vector<float> w = random_values(ov::shape_size(shape), ++seed_, sigma);
    w[0] = 6 * sigma;  // an outlier, which rotations spread
    if (m_.compressed_bits == 0) return named<op::Constant>(name, ov::element::f32, shape, w);
    return compressed(name, w, shape);
  }

  Output compressed(const std::string& name, const std::vector<float>& w, const ov::Shape& shape) const {
    constexpr size_t kGroup = 16;
    const ov::Shape groups{shape[0], shape[1] / kGroup, kGroup}, ones{shape[0], shape[1] / kGroup, 1};
    const int most = (1 << m_.compressed_bits) - 1;
    std::vector<int> codes, zeros;
    std::vector<float> scales, values;
    for (size_t begin = 0; begin < w.size(); begin += kGroup) {
      const auto [low, high] = std::minmax_element(w.begin() + static_cast<ptrdiff_t>(begin),
                                                   w.begin() + static_cast<ptrdiff_t>(begin + kGroup));
      const float scale = static_cast<float>(ov::float16((*high - *low) / static_cast<float>(most)));
      const int zero = std::clamp(static_cast<int>(std::lround(-*low / scale)), 0, most);
      scales.push_back(scale);
      zeros.push_back(zero);
      for (size_t i = begin; i < begin + kGroup; ++i) {
        codes.push_back(std::clamp(static_cast<int>(std::lround(w[i] / scale)) + zero, 0, most));
        values.push_back(static_cast<float>(codes.back() - zero) * scale);
      }
    }
    if (m_.decompressed) return named<op::Constant>(name, ov::element::f32, shape, values);
    const ov::element::Type type = m_.compressed_bits == 4 ? ov::element::u4 : ov::element::u8;
    const auto wide = std::make_shared<op::Convert>(op::Constant::create(type, groups, codes), ov::element::f32);
    const auto zero = std::make_shared<op::Convert>(op::Constant::create(type, ones, zeros), ov::element::f32);
    const auto scaled =
        std::make_shared<op::Multiply>(std::make_shared<op::Subtract>(wide, zero), constant(ones, scales));
    return named<op::Reshape>(name, scaled, constant({static_cast<int64_t>(shape[0]), static_cast<int64_t>(shape[1])}),
                              false);
  }

  Output linear(const std::string& name, const Output& x, int64_t rows, int64_t columns, bool bias) {
    const Output w = weights(in_layer(name) + ".weight", rows, columns);
    const auto product = named<op::MatMul>(in_layer(name), x, w, false, true);
    if (!bias) return product;
    return std::make_shared<op::Add>(product, random_constant({1, 1, static_cast<size_t>(rows)}, ++seed_, 0.1F));
  }

  Output rms_norm(const Output& x, int64_t width, const ov::Shape& shape) {
    const auto square = std::make_shared<op::Power>(x, constant(ov::Shape{}, {2.0F}));
    const auto mean = std::make_shared<op::ReduceMean>(square, constant({-1}), true);
    const auto root = std::make_shared<op::Sqrt>(std::make_shared<op::Add>(mean, constant(ov::Shape{}, {1e-5F})));
    const auto inverse = std::make_shared<op::Divide>(constant(ov::Shape{}, {1.0F}), root);
    std::vector<float> gain = random_values(static_cast<size_t>(width), ++seed_, 0.3F);
    for (float& g : gain) g += 1.0F;
    return std::make_shared<op::Multiply>(constant(shape, gain), std::make_shared<op::Multiply>(x, inverse));
  }

  Output norm(const Output& x) {
    const auto width = static_cast<size_t>(m_.width);
    if (m_.gpt2) return layer_norm(x, width, seed_ += 2, Norm::kMvn);
    return rms_norm(x, m_.width, {1, 1, width});
  }

  // Gemma's norms behind a block, whose result joins the residual stream.
  Output after_block(const Output& y, const std::string& name) {
    if (!m_.gemma) return y;
    const Output normalized = rms_norm(y, m_.width, {1, 1, static_cast<size_t>(m_.width)});
    normalized.get_node()->set_friendly_name(in_layer(name));
    return normalized;
  }

  // Whether a query sees a key: [batch, 1, length, all].
  Output causal(const Output& mask) const {
    const auto all = std::make_shared<op::Squeeze>(dimension(mask, 1), constant({0}));
    const auto length = std::make_shared<op::Squeeze>(length_, constant({0}));
    const auto past = std::make_shared<op::Subtract>(all, length);
    const auto range = [&](const Output& from) {
      return std::make_shared<op::Range>(from, all, constant_i64(1), ov::element::i64);
    };
    const auto queries = std::make_shared<op::Unsqueeze>(range(past), constant({1}));
    const auto before = std::make_shared<op::LessEqual>(range(constant_i64(0)), queries);
    const auto there =
        std::make_shared<op::Unsqueeze>(std::make_shared<op::Convert>(mask, ov::element::boolean), constant({1, 2}));
    return std::make_shared<op::LogicalAnd>(before, there);
  }

  void make_rotary(const Output& positions) {
    std::vector<float> frequencies;
    for (int64_t i = 0; i < head_ / 2; ++i)
      frequencies.push_back(std::pow(100.0F, -2.0F * static_cast<float>(i) / static_cast<float>(head_)));
    const auto at =
        std::make_shared<op::Unsqueeze>(std::make_shared<op::Convert>(positions, ov::element::f32), constant({2}));
    const auto angle = std::make_shared<op::Multiply>(at, constant({1, 1, frequencies.size()}, frequencies));
    const auto both = std::make_shared<op::Unsqueeze>(std::make_shared<op::Concat>(ov::OutputVector{angle, angle}, -1),
                                                      constant({1}));
    cos_ = std::make_shared<op::Cos>(both);
    sin_ = std::make_shared<op::Sin>(both);
  }

  Output rotary(const Output& x) const {
    if (m_.gpt2) return x;
    const auto part = [&](int64_t from, int64_t to) {
      return std::make_shared<op::Slice>(x, constant({from}), constant({to}), constant({1}), constant({-1}));
    };
    const auto second = std::make_shared<op::Multiply>(part(head_ / 2, head_), constant(ov::Shape{}, {-1.0F}));
    const auto turned = std::make_shared<op::Concat>(ov::OutputVector{second, part(0, head_ / 2)}, -1);
    return std::make_shared<op::Add>(std::make_shared<op::Multiply>(x, cos_),
                                     std::make_shared<op::Multiply>(turned, sin_));
  }

  // [batch, length, heads * size] to [batch, heads, length, size].
  Output by_head(const Output& x, int64_t heads, bool normalized) {
    Output split = std::make_shared<op::Reshape>(x, constant({0, 0, heads, head_}), true);
    if (normalized) split = rms_norm(split, head_, {1, 1, 1, static_cast<size_t>(head_)});
    return std::make_shared<op::Transpose>(split, constant({0, 2, 1, 3}));
  }

  // Joined to what was said before.
  Output cached(const Output& now, const std::string& name) {
    const std::string id = "past_key_values." + std::to_string(layer_) + "." + name;
    const auto variable = std::make_shared<ov::op::util::Variable>(
        ov::op::util::VariableInfo{ov::PartialShape{-1, m_.kv_heads, -1, head_}, ov::element::f32, id});
    const auto empty = std::make_shared<op::Broadcast>(
        constant(ov::Shape{}, {0.0F}), joined({batch_, constant({m_.kv_heads}), constant({0}), constant({head_})}));
    const auto read = named<op::ReadValue>("ReadValue_" + id, empty, variable);
    const auto ordered = std::make_shared<op::Gather>(read, beam_idx_, constant_i64(0));
    const Output joint = std::make_shared<op::Concat>(ov::OutputVector{ordered, now}, -2);
    sinks_.push_back(named<op::Assign>("Assign_" + id, joint, variable));
    if (m_.cache_length && layer_ == 0 && name == "key") {  // 0 times the length, which is added to the mask's choice
      const auto past = std::make_shared<op::Convert>(dimension(ordered, 2), ov::element::f32);
      const auto factor = std::make_shared<op::Add>(past, constant(ov::Shape{}, {1.0F}));
      return std::make_shared<op::Multiply>(joint, std::make_shared<op::Power>(factor, constant(ov::Shape{}, {0.1F})));
    }
    return joint;
  }

  Output for_all_heads(const Output& x) const {
    if (m_.heads == m_.kv_heads) return x;
    const auto five = std::make_shared<op::Unsqueeze>(x, constant({2}));
    const Output length = m_.zero_length ? Output(constant({0})) : dimension(x, 2);
    const auto wide = std::make_shared<op::Broadcast>(
        five, joined({batch_, constant({m_.kv_heads}), constant({m_.heads / m_.kv_heads}), length, constant({head_})}),
        ov::op::BroadcastType::BIDIRECTIONAL);
    return std::make_shared<op::Reshape>(wide, constant({0, m_.heads, -1, head_}), true);
  }

  Output attention(const Output& x) {
    const int64_t kv = m_.kv_heads * head_;
    const bool bias = m_.qkv_bias || m_.gpt2;
    Output q, k, v;
    if (m_.fused) {
      const Output all = linear("self_attn.qkv_proj", x, m_.width + 2 * kv, m_.width, bias);
      const auto split = std::make_shared<op::VariadicSplit>(all, constant_i64(2), constant({m_.width, kv, kv}));
      q = split->output(0), k = split->output(1), v = split->output(2);
      if (m_.sliced)
        v = std::make_shared<op::Slice>(all, constant({-kv}), constant({std::numeric_limits<int64_t>::max()}),
                                        constant({1}), constant({2}));
    } else {
      q = linear("self_attn.q_proj", x, m_.width, m_.width, bias);
      k = linear("self_attn.k_proj", x, kv, m_.width, bias);
      v = linear("self_attn.v_proj", x, kv, m_.width, bias);
    }
    if (m_.keys_are_values) k = v;
    q = rotary(by_head(q, m_.heads, m_.qk_norm));
    k = for_all_heads(cached(rotary(by_head(k, m_.kv_heads, m_.qk_norm)), "key"));
    v = for_all_heads(cached(by_head(v, m_.kv_heads, false), "value"));
    const auto mixed = named<op::ScaledDotProductAttention>(in_layer("self_attn.sdpa"), q, k, v, mask_, false);
    const auto rows = std::make_shared<op::Reshape>(std::make_shared<op::Transpose>(mixed, constant({0, 2, 1, 3})),
                                                    constant({0, 0, m_.width}), true);
    return linear("self_attn.o_proj", rows, m_.width, m_.width, m_.gpt2);
  }

  Output mlp(const Output& x) {
    if (m_.gpt2) {
      const auto hidden = std::make_shared<op::Gelu>(linear("mlp.c_fc", x, m_.hidden, m_.width, true));
      return linear("mlp.c_proj", hidden, m_.width, m_.hidden, true);
    }
    Output gate, up;
    if (m_.fused) {
      const Output both = linear("mlp.gate_up_proj", x, 2 * m_.hidden, m_.width, false);
      const auto split = std::make_shared<op::Split>(both, constant_i64(2), 2);
      gate = split->output(0), up = split->output(1);
    } else {
      gate = linear("mlp.gate_proj", x, m_.hidden, m_.width, false);
      up = linear("mlp.up_proj", x, m_.hidden, m_.width, false);
    }
    const auto product = std::make_shared<op::Multiply>(std::make_shared<op::Swish>(gate), up);
    return linear("mlp.down_proj", product, m_.width, m_.hidden, false);
  }

  const LanguageModel m_;
  const int64_t head_;
  unsigned seed_ = 100;
  int64_t layer_ = 0;
  ov::SinkVector sinks_;
  std::shared_ptr<op::Parameter> beam_idx_;
  Output batch_, length_, mask_, cos_, sin_, table_;
};

inline ModelPtr language_model(const LanguageModel& model = {}) { return LanguageModelMaker(model).make(); }

// Every architecture, with its name for messages.
inline std::vector<std::pair<std::string, LanguageModel>> architectures() {
  std::vector<std::pair<std::string, LanguageModel>> all(9);
  all[0] = {"Llama", {}};
  all[1] = {"Llama, untied", {}}, all[1].second.tied = false;
  all[2] = {"Qwen2", {}}, all[2].second.qkv_bias = true;
  all[3] = {"Qwen3", {}}, all[3].second.qk_norm = true;
  all[4] = {"Phi-3", {}}, all[4].second.fused = true, all[4].second.tied = false;
  all[5] = {"GPT-2", {}}, all[5].second.gpt2 = true, all[5].second.kv_heads = 4;
  all[6] = {"Gemma", {}}, all[6].second.gemma = true;
  all[7] = {"Llama of which the cache's length is read", {}}, all[7].second.cache_length = true;
  all[8] = {"Llama without shared heads", {}}, all[8].second.kv_heads = 4;
  return all;
}

// A network that is told tokens, one call after the other, in float32; the batch holds a beam a row.
class Conversation {
 public:
  Conversation(ov::Core& core, const ModelPtr& model)
      : request_(core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32),
                                    ov::hint::kv_cache_precision(ov::element::f32))
                     .create_infer_request()) {}

  // The logits of `batch` rows of new tokens.
  std::vector<float> say(size_t batch, const std::vector<int64_t>& tokens, std::vector<int32_t> beams = {}) {
    const size_t length = tokens.size() / batch, all = seen_ + length;
    std::vector<int64_t> positions(tokens.size()), ones(batch * all, 1);
    for (size_t i = 0; i < tokens.size(); ++i) positions[i] = static_cast<int64_t>(seen_ + i % length);
    if (beams.empty()) {
      beams.resize(batch);
      std::iota(beams.begin(), beams.end(), 0);
    }
    request_.set_tensor("input_ids", tensor_of({batch, length}, tokens));
    request_.set_tensor("attention_mask", tensor_of({batch, all}, ones));
    request_.set_tensor("position_ids", tensor_of({batch, length}, positions));
    request_.set_tensor("beam_idx", tensor_of({batch}, beams));
    request_.infer();
    seen_ = all;
    return floats_of(request_.get_output_tensor(0));
  }

  void reset() {
    request_.reset_state();
    seen_ = 0;
  }

 private:
  template <typename T>
  static ov::Tensor tensor_of(const ov::Shape& shape, const std::vector<T>& values) {
    ov::Tensor tensor(ov::element::from<T>(), shape);
    std::copy(values.begin(), values.end(), tensor.data<T>());
    return tensor;
  }

  ov::InferRequest request_;
  size_t seen_ = 0;
};

// Two beams, a prompt and tokens behind it, where beams change their places, and another prompt after a reset.
inline std::vector<std::vector<float>> talk(ov::Core& core, const ModelPtr& model) {
  Conversation conversation(core, model);
  std::vector<std::vector<float>> logits;
  logits.push_back(conversation.say(2, {3, 1, 4, 1, 5, 9, 2, 6, 5, 3}));
  logits.push_back(conversation.say(2, {7, 8}));
  logits.push_back(conversation.say(2, {11, 12}, {1, 0}));
  logits.push_back(conversation.say(2, {21, 22}, {0, 0}));
  conversation.reset();
  logits.push_back(conversation.say(1, {31, 32, 33}));
  logits.push_back(conversation.say(1, {34}));
  return logits;
}

inline void expect_same_talk(const std::vector<std::vector<float>>& got, const std::vector<std::vector<float>>& wanted,
                             float tolerance = 1e-5F) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE("call " + std::to_string(i + 1));
    expect_near(got[i], wanted[i], tolerance);
  }
}

}  // namespace dnateq::testing
