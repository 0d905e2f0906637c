// Dense float products at the speed of the CPU's vectors, for the search's large layers: Eigen here is compiled for the
// baseline (SSE2), a quarter to an eighth of what AVX2 and AVX-512 give.
//
// Everything rests on one kernel over *lanes*: 16 values that are computed alike, side by side (rows of a layer, or
// columns of a product). Each value's sum runs over ascending k, so results depend neither on threads nor on tiles;
// they do depend on the instruction set (fused multiply-add or not).
//
// Non-goals: other types, complex shapes of blocking; products of small matrices, which Eigen does well.
#pragma once

#include <Eigen/Core>
#include <span>

namespace dnateq {

constexpr int kLanes = 16;  // one AVX-512 register

struct alignas(64) Lane {
  float at[kLanes];
};

// c[i].at[l] += sum over k < depth of a[i * row_step + k * column_step] * u[k].at[l], for i < rows.
// Rows that lie a multiple of 4 KiB apart evict each other from the L1: see `padded_stride`.
using LaneProduct = void (*)(const float* a, Eigen::Index row_step, Eigen::Index column_step, Eigen::Index rows,
                             Eigen::Index depth, const Lane* u, Lane* c);

struct LaneKernel {
  const char* name;
  LaneProduct add_product;
};

// Those that this CPU runs, the fastest first; the last one runs everywhere.
std::span<const LaneKernel> lane_kernels();

inline void add_lane_product(const float* a, Eigen::Index row_step, Eigen::Index column_step, Eigen::Index rows,
                             Eigen::Index depth, const Lane* u, Lane* c) {
  static const LaneProduct best = lane_kernels().front().add_product;
  best(a, row_step, column_step, rows, depth, u, c);
}

// At least `rows`, and an odd number of cache lines: columns so far apart share no set of the L1.
constexpr Eigen::Index padded_stride(Eigen::Index rows) { return ((rows + 15) / 16 | 1) * 16; }

struct StridedView {
  const float* data;
  Eigen::Index row_step, column_step;
};

// The second view is of the right factor: depth x columns. Threads share the tiles of `out`.
struct ProductShape {
  Eigen::Index rows, columns, depth;
};
enum class Part { kAll, kLower };  // kLower: entries above the diagonal are left undefined

// out (column-major, `out_stride` apart) = addend_factor * out + factor * a * b
void multiply(const ProductShape& shape, StridedView a, StridedView b, float factor, float addend_factor, float* out,
              Eigen::Index out_stride, Part part = Part::kAll);

void mirror_lower(Eigen::MatrixXf& a, Eigen::Index size);  // to the upper triangle

// Lower Cholesky factor of the leading size x size block, in place; reads and writes the lower triangle only. False
// where the matrix is not positive definite.
bool factor_cholesky(Eigen::MatrixXf& a, Eigen::Index size);

}  // namespace dnateq
