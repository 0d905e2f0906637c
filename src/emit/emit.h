// Writing the quantized network as an OpenVINO model.
#pragma once

#include <cstdint>
#include <memory>
#include <openvino/openvino.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/weight_codes.h"
#include "dnateq/code.h"
#include "dnateq/recipe.h"
#include "graph/import.h"

namespace dnateq {

// The codes that the search decided on for one layer of PreparedModel::layers (same index). Without any it stays FP32.
struct LayerCodes : WeightCodes {
  std::optional<TensorCode> activations;  // of the tensor entering the layer (exact emission); none: it stays float32
  float range_low = 0, range_high = 0;    // 8-bit uniform range of the same tensor (standard emission); low == 0:
                                          // unsigned, else low = -high * 128 / 127, the signed 8-bit grid
  bool any_cpu = true;  // standard emission: levels that are not safe to add in 16 bits (core/pair_sums.h) are
                        // rounded to a coarser grid; false: the file is for CPUs with VNNI
  // Standard emission: what the layer adds to a residual sum (graph/patterns.h) is rounded to 8 bits up to here; 0:
  // not.
  float residual_limit = 0;
};

// Standard operations only: weights as packed codes (u2/u3/u4/u6 constants, or planes of them) through a Gather of the
// int8 level table, activations as 8-bit FakeQuantize, so that OpenVINO's own INT8 kernels run. The model is a new one;
// `prepared` is left as it was. Input/output names and dynamic shapes are kept.
std::shared_ptr<ov::Model> emit_standard(const PreparedModel& prepared, const std::vector<LayerCodes>& codes);

// As emit_standard, but the layers that `packed` names (one flag a layer) run on our operations if these can: a MatMul
// becomes a PackedMatMul (its activations are rounded to 8 bits row by row), an embedding table decodes only the rows
// looked up.
std::shared_ptr<ov::Model> emit_cpu(const PreparedModel& prepared, const std::vector<LayerCodes>& codes,
                                    const std::vector<bool>& packed);
// Whether our operations are the faster ones for a layer with codes of `bits` that sees `expected_rows` rows of
// activations a call (0 = unknown: no): where reading weights binds, and for embeddings. A roofline: either kernel
// takes the longer of reading its weights (ours at `bits`, OpenVINO's at 8) and multiplying, and what a call costs
// besides; `is_joined`: ours shares its call with other layers, which then costs it nothing.
bool runs_packed(const Layer& layer, int bits, double expected_rows, bool is_joined = false);

// Our operations (ops/), bit-true to the recipe: layers whose codes are int8 grids exchange integer levels
// (fuse_levels.h), and what they compute is defined by scalar code (kernels/layer_reference.h), of which every kernel
// gives the bits. Layers of real levels have no integers: OpenVINO's float32 kernels read quantized activations and
// decoded weights, as those of the second one all do, which is the first but for the rounding of its sums.
std::shared_ptr<ov::Model> emit_exact(const PreparedModel& prepared, const std::vector<LayerCodes>& codes);
std::shared_ptr<ov::Model> emit_exact_decoded(const PreparedModel& prepared, const std::vector<LayerCodes>& codes);

// Layers of real levels that share a base with their inputs, by exponent counting (ops/counting_layer.h): the network
// in the exponent domain, bit-true to kernels::count_scalar. Throws Error naming the layer where codes share no base.
// check_counting throws, before anything is searched, where a layer is of a form that counting does not take.
std::shared_ptr<ov::Model> emit_counting(const PreparedModel& prepared, const std::vector<LayerCodes>& codes);
void check_counting(const PreparedModel& prepared);

// Whether OpenVINO's operations can read this layer's weights from the blob that ours read: its levels are integers,
// and safe on the CPUs that the codes are for. Else a table that both read is stored in two forms.
bool reads_levels_of_blob(const Layer& layer, const LayerCodes& codes);

// Bytes that a layer's weights occupy in the emitted file: codes, tables, channel scales, headers.
int64_t standard_weight_bytes(const Layer& layer, const LayerCodes& codes);
int64_t exact_weight_bytes(const Layer& layer, const LayerCodes& codes);

// Writes DIR/STEM.xml and DIR/STEM.bin under temporary names, then renames. No FP16 compression of constants.
void save_model_files(const std::shared_ptr<ov::Model>& model, const std::filesystem::path& directory,
                      const std::string& stem = "model");

}  // namespace dnateq
