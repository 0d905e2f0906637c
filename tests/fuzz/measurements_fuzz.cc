// Any bytes as measurements.cbor: refused with Error, or measurements of the network's layers from which bits are
// allocated.
#include <cstdint>
#include <cstdlib>

#include "calibrate/measure.h"
#include "dnateq/error.h"

namespace {

dnateq::PreparedModel three_layers() {
  dnateq::PreparedModel prepared;
  prepared.layers.resize(3);
  for (dnateq::Layer& layer : prepared.layers) layer.rows = layer.columns = 2;
  prepared.layers[0].kind = dnateq::LayerKind::kEmbedding;
  return prepared;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const dnateq::PreparedModel prepared = three_layers();
  try {
    const auto m =
        dnateq::read_measurements({reinterpret_cast<const char*>(data), size}, "key", prepared.layers, "fuzz");
    if (m.layers.size() != 3) std::abort();
    const auto items = dnateq::allocation_items(prepared, m, false, [](const dnateq::Layer&, int) { return 100; });
    if (items.items.size() != 3 + m.activations.size()) std::abort();
  } catch (const dnateq::Error&) {
  }
  return 0;
}
