// Solved layers on disk, so that an interrupted search goes on where it stopped.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "search/solve.h"

namespace dnateq {

void save_solution(const LayerSolution& solution, const std::filesystem::path& file);  // temporary name, then rename

// The bytes of such a file. Throws Error, naming `source` and the key, for whatever is no solution of a layer of this
// shape with a code as `request` asks for (its width and arithmetic).
LayerSolution read_solution(std::string_view bytes, const LayerShape& shape, const TensorCode& request,
                            const std::string& source);
// Nothing if the file is missing or refused: the layer is then solved again.
std::optional<LayerSolution> load_solution(const std::filesystem::path& file, const LayerShape& shape,
                                           const TensorCode& request);

}  // namespace dnateq
