// Matrix product on stored codes: M x K integer activations times K x N packed weights, exact in INT32.
//
// The kernels stand in one ordered list, fastest first, scalar last; the first one that the CPU has and that takes the
// problem runs. All give the same integers, and, through the same epilogue, the same floats. The environment variable
// DNATEQ_KERNEL=NAME puts one kernel before all others: it runs wherever it takes the problem.
//
// Threads: tbb::parallel_for in the caller's arena, if the work is worth it. A call allocates nothing once its thread
// has run one of the same size (scratch is thread-local). Concurrent calls may share the weights.
// Source: ours; the layout is in packed_weights.h. Non-goals: encoding activations, convolution
// (convolution.h), floating-point weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/epilogue.h"
#include "kernels/packed_weights.h"

namespace dnateq::kernels {

// M x K levels, row-major, of any alignment.
struct Activations {
  Activations(const int8_t* levels, size_t row_count, size_t row_stride, const int32_t* sums = nullptr)
      : data(levels), is_signed(true), rows(row_count), stride(row_stride), row_sums(sums) {}
  Activations(const uint8_t* levels, size_t row_count, size_t row_stride)
      : data(levels), is_signed(false), rows(row_count), stride(row_stride) {}

  const void* data;
  bool is_signed;
  size_t rows;
  size_t stride;                      // levels from row to row, >= K
  const int32_t* row_sums = nullptr;  // optional: the sum of each signed row, where the encoder has it
};

// Throws Error if a sum could overflow INT32, if the weights are empty, if the epilogue names no single destination and
// if DNATEQ_KERNEL names no kernel that this CPU runs.
void matmul(const PackedWeights& weights, const Activations& activations, const Epilogue& epilogue);
// The same with the kernel of this name; throws Error, with the reason, where it does not take the problem.
void matmul_with(std::string_view kernel, const PackedWeights& weights, const Activations& activations,
                 const Epilogue& epilogue);

struct MatmulProblem {
  size_t m = 0, n = 0, k = 0;
  int bits = 4;
  int tables = 1;
  bool signed_activations = true;
};

struct KernelVerdict {
  std::string name, isa;
  std::string refusal;  // one clause; empty: takes the problem
};

// Every kernel in the order in which they are asked; the first one without a refusal runs.
std::vector<KernelVerdict> explain_matmul(const MatmulProblem& problem);

// The bound behind the overflow error: whether all sums of these weights and such activations fit INT32.
bool sums_fit_int32(const PackedWeights& weights, bool signed_activations);

}  // namespace dnateq::kernels
