#include "openvino/ops/ops.h"

#include <openvino/core/op_extension.hpp>

namespace dnateq::ops {

std::vector<ov::Extension::Ptr> operation_extensions() {
  return {std::make_shared<ov::OpExtension<ExponentialQuantize>>(),
          std::make_shared<ov::OpExtension<ExponentialWeights>>(),
          std::make_shared<ov::OpExtension<ExponentialEmbedding>>(),
          std::make_shared<ov::OpExtension<PackedMatMul>>(),
          std::make_shared<ov::OpExtension<ExponentialEncode>>(),
          std::make_shared<ov::OpExtension<LevelConvolution>>(),
          std::make_shared<ov::OpExtension<LevelMatMul>>(),
          std::make_shared<ov::OpExtension<LevelMaxPool>>()};
}

}  // namespace dnateq::ops
