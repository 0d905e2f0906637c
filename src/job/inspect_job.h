// `inspect`: what lies in a result folder, or what could be quantized in a model file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dnateq/recipe.h"
#include "job/float_kernels.h"

namespace dnateq {

struct InspectedResult {
  Recipe recipe;
  std::vector<std::pair<std::string, FloatKernels>> models;  // by file, of those that promise the same bits everywhere
};

struct InspectedModel {
  struct Port {  // an input or output
    std::string name, type;
    std::optional<std::vector<int64_t>> shape;  // -1: any length; none: any rank
  };
  std::vector<Port> inputs, outputs;
  struct Layer {
    std::string name, type;
    std::vector<size_t> shape;  // of the weights
    int64_t bytes = 0;          // of the weights in FP32
  };
  std::vector<Layer> layers;
  std::vector<UnquantizedLayer> unquantized;
  std::vector<std::string> notes;  // sentences on how its weights are stored, and on rotations of a language model
};

// Throw Error.
InspectedResult inspect_result(const std::filesystem::path& folder);
InspectedModel inspect_model(const std::filesystem::path& file);

// Whether it is the folder of a language model that dnateq has not made: inspect_model() takes it.
bool is_unquantized_folder(const std::filesystem::path& folder);

}  // namespace dnateq
