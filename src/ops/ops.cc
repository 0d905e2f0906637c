#include "ops/ops.h"

#include <openvino/core/op_extension.hpp>

#include "ops/counting_layer.h"
#include "ops/packed_block.h"

namespace dnateq::ops {

std::vector<ov::Extension::Ptr> operation_extensions() {
  return {std::make_shared<ov::OpExtension<ExponentialQuantize>>(),
          std::make_shared<ov::OpExtension<ExponentialWeights>>(),
          std::make_shared<ov::OpExtension<ExponentialLevels>>(),
          std::make_shared<ov::OpExtension<ExponentialEmbedding>>(),
          std::make_shared<ov::OpExtension<HadamardTransform>>(),
          std::make_shared<ov::OpExtension<PackedHead>>(),
          std::make_shared<ov::OpExtension<PackedMatMul>>(),
          std::make_shared<ov::OpExtension<PackedBlock>>(),
          std::make_shared<ov::OpExtension<PackedTable>>(),
          std::make_shared<ov::OpExtension<ExponentialEncode>>(),
          std::make_shared<ov::OpExtension<LevelConvolution>>(),
          std::make_shared<ov::OpExtension<LevelMatMul>>(),
          std::make_shared<ov::OpExtension<LevelMaxPool>>(),
          std::make_shared<ov::OpExtension<ImageMean>>(),
          std::make_shared<ov::OpExtension<CountingConvolution>>(),
          std::make_shared<ov::OpExtension<CountingMatMul>>()};
}

}  // namespace dnateq::ops
