// Large weights in files without a name that are mapped into memory: a search holds a network's weights several times
// over (as they came, rotated, quantized so far), and no more of them than is being read need lie in memory.
//
// A page is read again when it is asked for. Such a Constant differs from others by nothing else, and copies of it
// share its file, which goes with the last of them.
#pragma once

#include <cstdint>
#include <memory>
#include <openvino/op/constant.hpp>
#include <openvino/openvino.hpp>
#include <span>

namespace dnateq {

// Networks of fewer values stay in memory: 128 MB of float32.
inline constexpr int64_t kFewestParametersOnDisk = int64_t{1} << 25;

// A float32 Constant with these values, on disk (in TMPDIR); in memory if it is small, or no file can be had.
std::shared_ptr<ov::op::v0::Constant> constant_on_disk(const ov::Shape& shape, std::span<const float> values);

// A float32 Constant for the place of `old`, with its name: on disk where that is.
std::shared_ptr<ov::op::v0::Constant> constant_in_place_of(const ov::op::v0::Constant& old, const ov::Shape& shape,
                                                           std::span<const float> values);

bool is_on_disk(const ov::op::v0::Constant& constant);

// Takes out of memory what was read of Constants on disk. Others may be reading them.
void leave_memory(const ov::op::v0::Constant& constant);
void leave_memory(const ov::Model& model);  // all of its Constants, and what the allocator keeps of freed memory

// Replaces weights that are computed from Constants alone (float16, or integers with scales, widened) by their values
// on disk, one after the other, so that a large network is never in memory as a whole. Afterwards nothing of the
// network's file is held; `beside`: what else was read from it.
void fold_weights_to_disk(const std::shared_ptr<ov::Model>& model, const ov::SinkVector& beside);

}  // namespace dnateq
