// Solved layers on disk, so that an interrupted search goes on where it stopped.
#pragma once

#include <filesystem>
#include <optional>

#include "search/solve.h"

namespace dnateq {

void save_solution(const LayerSolution& solution, const std::filesystem::path& file);  // temporary name, then rename
// Nothing if the file is missing, damaged or of another shape: the layer is then solved again.
std::optional<LayerSolution> load_solution(const std::filesystem::path& file, const LayerShape& shape);

}  // namespace dnateq
