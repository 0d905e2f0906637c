// Names of layers for a table: by what tells them apart, and no longer than its column.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace dnateq {

// In the order given. The last part of a path such as "/layer.0/output/dense/MatMul" is left out where no two names get
// the same by that: it says what the column of types says too. What is then longer than `width` characters (at least 2)
// loses its beginning, for which "…" stands.
std::vector<std::string> short_layer_names(std::span<const std::string> names, size_t width);

}  // namespace dnateq
