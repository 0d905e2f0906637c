// Which distribution each weight and activation tensor follows (paper section III-B: the fit of least RSS).
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/progress.h"
#include "data/samples.h"
#include "graph/import.h"

namespace dnateq {

// {"model", "weights": {family: tensors that follow it}, "activations": the same, "tensors": [{"layer", "tensor",
// "kind", "values", "zeros", "minimum", "maximum", "best", "fits": [{"name", "rss", "ks", "parameters"}]}]}. `open`
// opens the samples of a network with these inputs. Throws Error.
nlohmann::ordered_json analyze(
    const std::string& model, const ImportOptions& options,
    const std::function<std::shared_ptr<const Samples>(const std::vector<std::string>& inputs)>& open, int threads,
    const Progress& progress);

}  // namespace dnateq
