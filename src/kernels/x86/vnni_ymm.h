// The dot product of 256-bit matmuls with vpdpbusd. `Instruction` has its encoding. Private, as matmul_ymm.h is.
#pragma once

#include "kernels/x86/matmul_ymm.h"

namespace dnateq::kernels {
namespace {

template <typename Instruction>
struct VnniDot {
  static constexpr int kRows = 6;  // 12 sums, 2 vectors of weights, 1 of activations
  static constexpr bool kSignedRows = false;

  void add(__m256i& left, __m256i& right_sum, __m256i x, __m256i w_left, __m256i w_right) const {
    Instruction::dot(left, x, w_left);
    Instruction::dot(right_sum, x, w_right);
  }

  // For one row.
  static constexpr size_t kRowCopies = 1;
  using Quad = __m256i;
  static void store_row(__m256i values, uint8_t* to, size_t) { store(to, values); }
  static Quad quad(const uint8_t* x, size_t) { return broadcast_quad(x); }
  static __m256i add_one(__m256i sum, const Quad& x, __m256i w) {
    Instruction::dot(sum, x, w);
    return sum;
  }
};

}  // namespace
}  // namespace dnateq::kernels
