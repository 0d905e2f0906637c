// What this machine does at best: the roof under which a layer's time lies.
#pragma once

#include <cstddef>
#include <openvino/openvino.hpp>

namespace dnateq {

struct Machine {
  double bytes_per_second = 0;      // read, over and over, from a working set
  double int8_macs_per_second = 0;  // of our kernels or OpenVINO's MatMul, whichever is faster
  double f32_macs_per_second = 0;   // of OpenVINO's MatMul
};

// Measures it, in a fraction of a second. `working_set`: the bytes that are read again and again, so that caches count
// as they do for a network whose weights are that large.
Machine measure_machine(ov::Core& core, size_t working_set, int threads);

}  // namespace dnateq
