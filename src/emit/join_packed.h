// Joins PackedMatMuls with the sums, norms and activations between them to PackedBlocks, so that a token of a language
// model is few calls: from one attention to the next a decoder layer is one, which takes what attention gives and the
// residual stream and gives the residual stream and the next queries, keys and values. What is not understood stays as
// it is, between calls.
#pragma once

#include <cstddef>
#include <memory>
#include <openvino/openvino.hpp>
#include <set>
#include <string>

namespace dnateq {

// Rewrites `model`, whose outputs stay the same but for their last bits; nodes with a name of `kept` stay. Returns the
// number of blocks.
size_t join_packed(const std::shared_ptr<ov::Model>& model, const std::set<std::string>& kept = {});

}  // namespace dnateq
