// Dot products in the exponent domain: counting, the paper's way, for a layer whose two tensors share one base.
//
// With exponents i of x and j of w (level number i is alpha * base^i + beta) and s the product of the signs, over the
// pairs in which neither code is zero:
//
//   sum x w = ax aw sum s b^(i+j) + ax bw sum s b^i + bx aw sum s b^j + bx bw sum s
//
// Each sum needs only *how often* each exponent occurs, signed: exact integer counters, no multiplication inside. The
// counters meet the powers of the base once, at the end, in double: near base = 1, beta is about -alpha, the four terms
// cancel, and the error is bounded by their magnitudes (`terms` below), not by the result. With both betas zero only
// the counters of i + j are needed.
//
// Source: DNA-TEQ (arXiv 2306.16430) for counting; the sliced form is ours. Non-goals: matrices, speed beyond one
// honest kernel (matmul.h multiplies levels and is faster), codes whose tensors have bases of their own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dnateq/code.h"

namespace dnateq::kernels {

inline constexpr int kMostExponentBits = 7;  // of scalar counting; sliced counting takes 2 to 4

// Signed counts. Counting sets those of n exponent bits, i + j up to 2^(n+1) - 2, and leaves the others alone.
struct ExponentCounters {
  std::array<int64_t, (2 << kMostExponentBits) - 1> sums{};  // by i + j
  std::array<int64_t, 1 << kMostExponentBits> x{}, w{};      // by i, by j
  int64_t signs = 0;

  friend bool operator==(const ExponentCounters&, const ExponentCounters&) = default;
};

// The two codes of a shared-base layer: exponential arithmetic, one base.
class SharedBase {
 public:
  // Throws Error naming what the codes lack.
  SharedBase(const TensorCode& x, const TensorCode& w);

  int exponent_bits() const { return exponent_bits_; }  // of the larger exponent of both
  bool one_term() const { return x_.beta == 0 && w_.beta == 0; }
  const TensorCode& x() const { return x_; }
  const TensorCode& w() const { return w_; }

  const std::vector<double>& powers() const { return powers_; }

  struct Value {
    double sum;
    double terms;  // sum of the absolute terms: |error| <= 2^-44 * terms
  };
  Value combine(const ExponentCounters& counters) const;

 private:
  TensorCode x_, w_;
  int exponent_bits_;
  std::vector<double> powers_;  // of the base, up to the largest i + j that occurs; nearest doubles but for rare ties
};

// The reference that knows nothing of exponents: the products of the codes' float32 levels, added in double. A counted
// sum differs from it by the levels' rounding too, 2^-23 of the absolute products at most.
double dot_of_levels(const SharedBase& codes, std::span<const uint8_t> x, std::span<const uint8_t> w);

// Code by code; the specification of the sliced form. x, w: codes, of one length. With one term it sets `sums` only.
void count_scalar(const SharedBase& codes, std::span<const uint8_t> x, std::span<const uint8_t> w,
                  ExponentCounters& counters);

// What counting sees of a code.
struct SignedExponent {
  uint8_t exponent;
  int8_t sign;  // 0: the code is zero
};
std::vector<SignedExponent> signed_exponents(const TensorCode& code);  // by code number, 256; those unused are zero
// count_scalar() on what the codes stand for.
void count_exponents(const SharedBase& codes, std::span<const SignedExponent> x, std::span<const SignedExponent> w,
                     ExponentCounters& counters);

// Codes by bit planes: blocks of 512 codes, each of n + 2 planes of 64 bytes: the exponent's bits, low first, the sign,
// and which codes are not zero. Code k of a block is bit k % 8 of byte k / 8 of each plane. Where a code is zero, all
// its bits are; so are those past the end.
class ExponentPlanes {
 public:
  static constexpr size_t kBlockCodes = 512, kPlaneBytes = 64;

  // exponent_bits: 2 to 4, as both operands of a product have it; throws Error if the code needs more.
  ExponentPlanes(const TensorCode& code, int exponent_bits, std::span<const uint8_t> codes);

  int exponent_bits() const { return exponent_bits_; }
  size_t size() const { return size_; }
  size_t blocks() const { return (size_ + kBlockCodes - 1) / kBlockCodes; }
  const uint8_t* data() const { return bytes_.get(); }  // 64-byte aligned

 private:
  struct Free {
    void operator()(uint8_t* bytes) const;
  };
  int exponent_bits_;
  size_t size_;
  std::unique_ptr<uint8_t, Free> bytes_;
};

// Whether this CPU counts on planes (AVX-512 with VPOPCNTDQ); count_planes throws Error where it does not, where the
// operands differ in length or bits, and beyond 2^31 codes.
bool counts_planes();
// Sets the same counters as count_scalar, with `one_term` those of i + j only.
void count_planes(const ExponentPlanes& x, const ExponentPlanes& w, bool one_term, ExponentCounters& counters);

}  // namespace dnateq::kernels
