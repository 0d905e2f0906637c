#include "kernels/exponential.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <new>
#include <vector>

#include "core/isa.h"
#include "core/option.h"
#include "dnateq/error.h"
#include "kernels/counting_kernel.h"

namespace dnateq::kernels {
namespace {

int exponent_bits_of(const TensorCode& code) {
  const int levels = std::max(code.positive_levels, code.negative_levels);
  return std::max(2, static_cast<int>(std::bit_width(static_cast<unsigned>(levels - 1))));
}

void same_length(size_t x, size_t w) {
  if (x != w) throw Error(fmt::format("a product of {} by {} codes; this is a bug of dnateq, report it", x, w));
}

constexpr std::align_val_t kPlaneAlignment{ExponentPlanes::kPlaneBytes};

// base^0 ... base^(count - 1), by products in twice double's precision: a mathematics library's pow() may differ from
// another one's in the last bit, and with it every sum.
std::vector<double> powers_of(double base, int count) {
  std::vector<double> powers;
  double high = 1, low = 0;
  for (int i = 0; i < count; ++i) {
    powers.push_back(high);
    const double product = high * base;
    const double rest = std::fma(low, base, std::fma(high, base, -product));
    high = product + rest;
    low = (product - high) + rest;
  }
  return powers;
}

}  // namespace

SharedBase::SharedBase(const TensorCode& x, const TensorCode& w) : x_(x), w_(w) {
  validate(x, "activations");
  validate(w, "weights");
  if (x.arithmetic != Arithmetic::kExponential || w.arithmetic != Arithmetic::kExponential)
    throw Error(
        fmt::format("counting needs codes of exponential arithmetic; quantize with {}", option("emit", "counting")));
  if (!has_zero(x) || !has_zero(w)) throw Error("counting needs codes with a zero; write the model again");
  if (x.base != w.base)
    throw Error(fmt::format("counting needs one base for inputs ({}) and weights ({}); quantize with {}", x.base,
                            w.base, option("family", "shared-base")));
  exponent_bits_ = std::max(exponent_bits_of(x), exponent_bits_of(w));
  if (exponent_bits_ > kMostExponentBits)
    throw Error(fmt::format("counting takes up to {} exponent bits, not {}", kMostExponentBits, exponent_bits_));
  const int largest = std::max(x.positive_levels, x.negative_levels) + std::max(w.positive_levels, w.negative_levels);
  powers_ = powers_of(x.base, largest - 1);
}

SharedBase::Value SharedBase::combine(const ExponentCounters& counters) const {
  Value value{0, 0};
  const auto add = [&](double factor, std::span<const int64_t> counts) {
    const size_t used = std::min(counts.size(), powers_.size());
    double sum = 0, terms = 0;  // a chain of its own for each group: it is their latency that takes the time
    for (size_t i = 0; i < used; ++i) {
      const double term = powers_[i] * static_cast<double>(counts[i]);
      sum += term;
      terms += std::abs(term);
    }
    value.sum += factor * sum;
    value.terms += std::abs(factor) * terms;
  };
  add(x_.alpha * w_.alpha, counters.sums);
  if (one_term()) return value;
  const size_t exponents = size_t{1} << exponent_bits_;
  add(x_.alpha * w_.beta, std::span(counters.x).first(exponents));
  add(x_.beta * w_.alpha, std::span(counters.w).first(exponents));
  add(x_.beta * w_.beta, std::span(&counters.signs, 1));
  return value;
}

double dot_of_levels(const SharedBase& codes, std::span<const uint8_t> x, std::span<const uint8_t> w) {
  same_length(x.size(), w.size());
  const std::vector<float> x_levels = level_table(codes.x()), w_levels = level_table(codes.w());
  double sum = 0;
  for (size_t k = 0; k < x.size(); ++k)
    sum += static_cast<double>(x_levels[x[k]]) * static_cast<double>(w_levels[w[k]]);
  return sum;
}

std::vector<SignedExponent> signed_exponents(const TensorCode& code) {
  std::vector<SignedExponent> all(256);
  size_t number = 1;
  for (int i = 0; i < code.positive_levels; ++i) all[number++] = {static_cast<uint8_t>(i), 1};
  for (int i = 0; i < code.negative_levels; ++i) all[number++] = {static_cast<uint8_t>(i), -1};
  return all;
}

void count_exponents(const SharedBase& codes, std::span<const SignedExponent> x, std::span<const SignedExponent> w,
                     ExponentCounters& counters) {
  same_length(x.size(), w.size());
  const size_t exponents = size_t{1} << codes.exponent_bits();
  std::fill_n(counters.sums.begin(), 2 * exponents - 1, 0);
  if (codes.one_term()) {
    for (size_t k = 0; k < x.size(); ++k)  // a zero code adds zeros
      counters.sums[static_cast<size_t>(x[k].exponent + w[k].exponent)] += x[k].sign * w[k].sign;
    return;
  }
  std::fill_n(counters.x.begin(), exponents, 0);
  std::fill_n(counters.w.begin(), exponents, 0);
  counters.signs = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    const SignedExponent i = x[k], j = w[k];
    const int sign = i.sign * j.sign;
    counters.sums[static_cast<size_t>(i.exponent + j.exponent)] += sign;
    counters.x[i.exponent] += sign;
    counters.w[j.exponent] += sign;
    counters.signs += sign;
  }
}

void count_scalar(const SharedBase& codes, std::span<const uint8_t> x, std::span<const uint8_t> w,
                  ExponentCounters& counters) {
  const auto exponents = [](const TensorCode& code, std::span<const uint8_t> numbers) {
    const std::vector<SignedExponent> by_code = signed_exponents(code);
    std::vector<SignedExponent> all;
    for (const uint8_t number : numbers) all.push_back(by_code[number]);
    return all;
  };
  count_exponents(codes, exponents(codes.x(), x), exponents(codes.w(), w), counters);
}

void ExponentPlanes::Free::operator()(uint8_t* bytes) const { ::operator delete(bytes, kPlaneAlignment); }

ExponentPlanes::ExponentPlanes(const TensorCode& code, int exponent_bits, std::span<const uint8_t> codes)
    : exponent_bits_(exponent_bits), size_(codes.size()) {
  if (exponent_bits < 2 || exponent_bits > 4 || exponent_bits_of(code) > exponent_bits)
    throw Error(fmt::format("planes of {} exponent bits for a code that needs {}; they hold 2 to 4", exponent_bits,
                            exponent_bits_of(code)));
  const size_t planes = static_cast<size_t>(exponent_bits) + 2, bytes = blocks() * planes * kPlaneBytes;
  bytes_.reset(static_cast<uint8_t*>(::operator new(std::max(bytes, kPlaneBytes), kPlaneAlignment)));
  std::fill_n(bytes_.get(), bytes, uint8_t{0});
  const std::vector<SignedExponent> exponents = signed_exponents(code);
  for (size_t k = 0; k < codes.size(); ++k) {
    const SignedExponent e = exponents[codes[k]];
    if (e.sign == 0) continue;
    const unsigned bits = e.exponent | (e.sign < 0 ? 1U << exponent_bits : 0U) | 2U << exponent_bits;
    uint8_t* place = bytes_.get() + k / kBlockCodes * planes * kPlaneBytes + k % kBlockCodes / 8;
    for (size_t plane = 0; plane < planes; ++plane)
      place[plane * kPlaneBytes] |= static_cast<uint8_t>((bits >> plane & 1U) << (k % 8));
  }
}

bool counts_planes() { return cpu().avx512_vpopcntdq; }

void count_planes(const ExponentPlanes& x, const ExponentPlanes& w, bool one_term, ExponentCounters& counters) {
  same_length(x.size(), w.size());
  if (x.exponent_bits() != w.exponent_bits())
    throw Error(fmt::format("a product of planes of {} and {} exponent bits; this is a bug of dnateq, report it",
                            x.exponent_bits(), w.exponent_bits()));
  if (x.size() > size_t{std::numeric_limits<int32_t>::max()})
    throw Error(fmt::format("counting takes up to 2^31 - 1 codes, not {}", x.size()));
#if defined(__x86_64__)
  if (counts_planes()) {
    const CountingTask task{x.data(), w.data(), x.blocks(), x.exponent_bits()};
    count_avx512(task, one_term, {counters.sums.data(), counters.x.data(), counters.w.data(), &counters.signs});
    return;
  }
#endif
  throw Error("this CPU does not count on planes: it lacks AVX-512 VPOPCNTDQ");
}

}  // namespace dnateq::kernels
