// Layers that read the same weights share one constant.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "graph/import/passes.h"

namespace dnateq::import_passes {
namespace {

size_t largest_at(const std::vector<float>& values) {
  const auto smaller = [](float a, float b) { return std::fabs(a) < std::fabs(b); };
  return static_cast<size_t>(std::max_element(values.begin(), values.end(), smaller) - values.begin());
}

// The factor f with a = f * b up to rounding, if there is one: tied weights of which one copy holds a scale of the
// network, such as the square root of a Transformer's width in its embeddings.
std::optional<float> ratio(const std::vector<float>& a, const std::vector<float>& b) {
  constexpr double kRounding = 0x1p-22;  // two float32 roundings, and a margin
  const size_t largest = largest_at(b);
  if (largest >= b.size() || b[largest] == 0) return std::nullopt;
  const double factor = static_cast<double>(a[largest]) / static_cast<double>(b[largest]);
  if (!std::isnormal(static_cast<float>(factor))) return std::nullopt;
  for (size_t i = 0; i < a.size(); ++i) {
    const double wanted = a[i], difference = wanted - factor * static_cast<double>(b[i]);
    if (std::fabs(difference) > kRounding * std::fabs(wanted)) return std::nullopt;
  }
  return static_cast<float>(factor);
}

// Makes `layer` read the weights of `first`, which are its own divided by `factor`.
bool share(Layer& layer, const Layer& first, float factor) {
  if (layer.weights() == first.weights()) return true;
  const auto matmul = ov::as_type_ptr<op::MatMul>(layer.node);
  if (!matmul && (factor != 1 || layer.weights_transposed != first.weights_transposed)) return false;
  layer.had_own_copy = true;
  if (layer.weights_transposed != first.weights_transposed) {
    matmul->set_transpose_b(!first.weights_transposed);
    layer.weights_transposed = first.weights_transposed;
  }
  layer.node->input(layer.weight_port).replace_source_output(first.weights());
  if (factor != 1) {
    const auto input = layer.node->input(layer.activation_port);
    const auto scaled =
        std::make_shared<op::Multiply>(input.get_source_output(), op::Constant::create(ov::element::f32, {}, {factor}));
    scaled->set_friendly_name(layer.name + "/scale");
    input.replace_source_output(scaled);
  }
  return true;
}

}  // namespace

void share_tied_weights(PreparedModel& prepared, LayerChoice& choice) {
  // By dimensions and the place of the largest weight, which no scale moves.
  std::map<std::tuple<int64_t, int64_t, size_t>, std::vector<size_t>> owners;
  for (size_t i = 0; i < prepared.layers.size(); ++i) {
    Layer& layer = prepared.layers[i];
    if (layer.kind == LayerKind::kConvolution || layer.kind == LayerKind::kGroupConvolution) continue;
    if (choice.is_untied(layer.name)) continue;
    const std::vector<float> matrix = layer.weight_matrix();
    auto& alike = owners[{layer.rows, layer.columns, largest_at(matrix)}];
    for (const size_t owner : alike) {
      const Layer& first = prepared.layers[owner];
      const std::optional<float> factor = ratio(matrix, first.weight_matrix());
      if (!factor || !share(layer, first, *factor)) continue;
      layer.shares_weights_with = owner;
      break;
    }
    if (!layer.shares_weights_with) alike.push_back(i);
  }
  prepared.model->validate_nodes_and_infer_types();
}

}  // namespace dnateq::import_passes
