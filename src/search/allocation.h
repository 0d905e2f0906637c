// Which tensor gets how many bits, by predicted divergences: the least within a budget, and the front of all budgets.
#pragma once

#include <array>
#include <vector>

#include "dnateq/code.h"

namespace dnateq {

// One tensor that can be given 2 ... 8 stored bits.
struct Allocatable {
  bool is_weights = false;
  double values = 0;                                  // weights: number; activations: values at batch 1
  double copies = 0;                                  // weights that the FP32 network holds again: no bits, but counted
  std::array<double, kMaxStoredBits + 1> overhead{};  // further bits in all, by stored bits: tables, scales, headers
  int smallest_bits = kMinStoredBits, largest_bits = kMaxStoredBits;
  std::array<double, kMaxStoredBits + 1> divergence{};  // predicted, by stored bits

  double bits_in_all(int bits) const { return bits * values + overhead[static_cast<size_t>(bits)]; }
};

struct Allocation {
  std::vector<int> bits;                        // parallel to the items
  double weight_bits = 0, activation_bits = 0;  // mean over values, overhead included
  double divergence = 0;                        // predicted sum
};

// Plain mean of stored bits over the tensors.
double tensor_mean(const Allocation& allocation);

// `fp32_values`: weights that stay in FP32, counted at 32 bits.
Allocation summarize(const std::vector<Allocatable>& items, std::vector<int> bits, double fp32_values);

// Least predicted divergence with at most the given mean bits of weights and of activations. Throws Error if even the
// fewest bits are more than that.
Allocation allocate_to_bits(const std::vector<Allocatable>& items, double weight_bits, double activation_bits,
                            double fp32_values);

// The front: allocations of one common price for a mean bit of weights and of activations, from few bits to many.
std::vector<Allocation> allocation_front(const std::vector<Allocatable>& items, double fp32_values);

}  // namespace dnateq
