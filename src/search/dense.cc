#include "search/dense.h"

#include <tbb/parallel_for.h>
#include <xmmintrin.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <vector>

namespace dnateq {
namespace {

using Eigen::Index;
using Eigen::MatrixXf;

using Vector4 __attribute__((vector_size(16))) = float;
using Vector8 __attribute__((vector_size(32))) = float;
using Vector16 __attribute__((vector_size(64))) = float;

#define DNATEQ_INLINE __attribute__((always_inline)) inline

// kRows x kLanes sums in registers: 12 for AVX-512, whose FMA units need 8 to 10 sums in flight; 6 for AVX2, which
// takes two of its 16 registers a row. Rows come in threes: `base + step` and `base + 2 * step` are addressing modes.
template <typename Vector, int kRows>
DNATEQ_INLINE void add_tile(const float* a, Index row_step, Index column_step, Index depth, const Lane* u, Lane* c) {
  constexpr int kParts = static_cast<int>(sizeof(Lane) / sizeof(Vector)), kBases = (kRows + 2) / 3;
  Vector sum[kRows][kParts];
  for (int i = 0; i < kRows; ++i)
    for (int p = 0; p < kParts; ++p) sum[i][p] = reinterpret_cast<const Vector*>(c + i)[p];
  const float* base[kBases];
  for (int b = 0; b < kBases; ++b) base[b] = a + 3 * b * row_step;
  for (Index k = 0; k < depth; ++k) {
    Vector x[kParts];
    for (int p = 0; p < kParts; ++p) x[p] = reinterpret_cast<const Vector*>(u + k)[p];
    for (int i = 0; i < kRows; ++i)
      for (int p = 0; p < kParts; ++p) sum[i][p] += base[i / 3][i % 3 * row_step] * x[p];
    for (int b = 0; b < kBases; ++b) base[b] += column_step;
  }
  for (int i = 0; i < kRows; ++i)
    for (int p = 0; p < kParts; ++p) reinterpret_cast<Vector*>(c + i)[p] = sum[i][p];
}

template <typename Vector, int kRows, int kFewer>
DNATEQ_INLINE void add_tiles(const float* a, Index row_step, Index column_step, Index rows, Index depth, const Lane* u,
                             Lane* c) {
  Index i = 0;
  for (; i + kRows <= rows; i += kRows)
    add_tile<Vector, kRows>(a + i * row_step, row_step, column_step, depth, u, c + i);
  for (; i + kFewer <= rows; i += kFewer)
    add_tile<Vector, kFewer>(a + i * row_step, row_step, column_step, depth, u, c + i);
  for (; i < rows; ++i) add_tile<Vector, 1>(a + i * row_step, row_step, column_step, depth, u, c + i);
}

__attribute__((target("avx512f"))) void add_product_avx512(const float* a, Index row_step, Index column_step,
                                                           Index rows, Index depth, const Lane* u, Lane* c) {
  add_tiles<Vector16, 12, 4>(a, row_step, column_step, rows, depth, u, c);
}

__attribute__((target("avx2,fma"))) void add_product_avx2(const float* a, Index row_step, Index column_step, Index rows,
                                                          Index depth, const Lane* u, Lane* c) {
  add_tiles<Vector8, 6, 3>(a, row_step, column_step, rows, depth, u, c);
}

void add_product_sse2(const float* a, Index row_step, Index column_step, Index rows, Index depth, const Lane* u,
                      Lane* c) {
  add_tiles<Vector4, 3, 1>(a, row_step, column_step, rows, depth, u, c);
}

constexpr Index kPanel = 12;   // rows packed together
constexpr Index kDepth = 256;  // packed at once: a tile's two operands stay in the L2

// packed[k][i] = source[i][k] for i < 4 * kQuads, k < depth: rows of the source lie `source_step` apart, of which each
// is contiguous, and kQuads * 4 of the packed values. By fours, since single stores would take as long as the product.
template <int kQuads>
void transpose(const float* source, Index source_step, Index depth, float* packed) {
  constexpr Index kWidth = 4 * kQuads;
  Index k = 0;
  for (; k + 4 <= depth; k += 4)
    for (Index i = 0; i < kWidth; i += 4) {
      const float* at = source + i * source_step + k;
      __m128 a = _mm_loadu_ps(at), b = _mm_loadu_ps(at + source_step), c = _mm_loadu_ps(at + 2 * source_step),
             d = _mm_loadu_ps(at + 3 * source_step);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      float* to = packed + k * kWidth + i;
      _mm_storeu_ps(to, a);
      _mm_storeu_ps(to + kWidth, b);
      _mm_storeu_ps(to + 2 * kWidth, c);
      _mm_storeu_ps(to + 3 * kWidth, d);
    }
  for (; k < depth; ++k)
    for (Index i = 0; i < kWidth; ++i) packed[k * kWidth + i] = source[i * source_step + k];
}

// packed[panel][k][row of the panel], zero beyond `rows`.
void pack_rows(StridedView a, Index rows, Index depth, float* packed) {
  for (Index first = 0; first < rows; first += kPanel, packed += kPanel * depth) {
    if (a.column_step == 1 && first + kPanel <= rows) {
      transpose<kPanel / 4>(a.data + first * a.row_step, a.row_step, depth, packed);
      continue;
    }
    for (Index i = 0; i < kPanel; ++i) {
      if (first + i >= rows) {
        for (Index k = 0; k < depth; ++k) packed[k * kPanel + i] = 0;
        continue;
      }
      const float* source = a.data + (first + i) * a.row_step;
      for (Index k = 0; k < depth; ++k) packed[k * kPanel + i] = source[k * a.column_step];
    }
  }
}

// packed[group of lanes][k], zero beyond `columns`.
void pack_lanes(StridedView b, Index columns, Index depth, Lane* packed) {
  for (Index first = 0; first < columns; first += kLanes, packed += depth) {
    const Index count = std::min<Index>(kLanes, columns - first);
    if (b.column_step == 1 && count == kLanes) {
      for (Index k = 0; k < depth; ++k) std::copy_n(b.data + k * b.row_step + first, kLanes, packed[k].at);
      continue;
    }
    if (b.row_step == 1 && count == kLanes) {
      transpose<kLanes / 4>(b.data + first * b.column_step, b.column_step, depth, packed->at);
      continue;
    }
    for (Index l = 0; l < kLanes; ++l) {
      const float* source = b.data + (first + l) * b.column_step;
      for (Index k = 0; k < depth; ++k) packed[k].at[l] = l < count ? source[k * b.row_step] : 0.0F;
    }
  }
}

// Summed apart from what is there: over 20,000 positions one long sum loses two more bits than sums of sums.
void add_tile_product(const float* left, const Lane* right, Index depth, Lane* sums) {
  Lane own[kPanel] = {};
  add_lane_product(left, 1, kPanel, kPanel, depth, right, own);
  for (Index i = 0; i < kPanel; ++i)
    for (int l = 0; l < kLanes; ++l) sums[i].at[l] += own[i].at[l];
}

}  // namespace

std::span<const LaneKernel> lane_kernels() {
  static constexpr LaneKernel kAll[] = {
      {"avx512", add_product_avx512}, {"avx2", add_product_avx2}, {"sse2", add_product_sse2}};
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") != 0;
  return std::span(kAll).subspan(avx512 ? 0 : avx2 ? 1 : 2);
}

void multiply(const ProductShape& shape, StridedView a, StridedView b, float factor, float addend_factor, float* out,
              Index out_stride, Part part) {
  const bool large = shape.rows * shape.columns >= Index{1} << 20;  // else smaller tiles, for the threads' sake
  const Index tile_rows = large ? 20 * kPanel : 8 * kPanel, tile_columns = large ? 12 * kLanes : 6 * kLanes;
  const Index down = (shape.rows + tile_rows - 1) / tile_rows;
  const Index across = (shape.columns + tile_columns - 1) / tile_columns;
  tbb::parallel_for(Index{0}, down * across, [&](Index tile) {
    const Index i = tile % down * tile_rows, j = tile / down * tile_columns;
    const Index rows = std::min(tile_rows, shape.rows - i), columns = std::min(tile_columns, shape.columns - j);
    if (part == Part::kLower && i + rows <= j) return;
    const Index panels = (rows + kPanel - 1) / kPanel, groups = (columns + kLanes - 1) / kLanes;
    const Index longest = std::min(kDepth, shape.depth);
    std::vector<float> left(static_cast<size_t>(panels * kPanel * longest));
    std::vector<Lane> right(static_cast<size_t>(groups * longest));
    std::vector<Lane> sums(static_cast<size_t>(groups * panels * kPanel), Lane{});
    for (Index k = 0; k < shape.depth; k += kDepth) {
      const Index depth = std::min(kDepth, shape.depth - k);
      pack_rows({a.data + i * a.row_step + k * a.column_step, a.row_step, a.column_step}, rows, depth, left.data());
      pack_lanes({b.data + k * b.row_step + j * b.column_step, b.row_step, b.column_step}, columns, depth,
                 right.data());
      for (Index panel = 0; panel < panels; ++panel)
        for (Index g = 0; g < groups; ++g)
          add_tile_product(&left[static_cast<size_t>(panel * kPanel * depth)], &right[static_cast<size_t>(g * depth)],
                           depth, &sums[static_cast<size_t>((g * panels + panel) * kPanel)]);
    }
    for (Index column = 0; column < columns; ++column) {
      float* target = out + (j + column) * out_stride + i;
      const Lane* sum = &sums[static_cast<size_t>(column / kLanes * panels * kPanel)];
      const Index lane = column % kLanes;
      if (addend_factor == 0)
        for (Index row = 0; row < rows; ++row) target[row] = factor * sum[row].at[lane];
      else
        for (Index row = 0; row < rows; ++row) target[row] = addend_factor * target[row] + factor * sum[row].at[lane];
    }
  });
}

void mirror_lower(MatrixXf& a, Index size) {
  constexpr Index kTile = 64;
  tbb::parallel_for(Index{0}, (size + kTile - 1) / kTile, [&](Index tile) {
    const Index j = tile * kTile, columns = std::min(kTile, size - j);
    for (Index i = 0; i <= j; i += kTile) {  // rows i ... of the columns j ...: above the diagonal
      const Index rows = std::min(kTile, size - i);
      for (Index column = 0; column < columns; ++column)
        for (Index row = 0; row < rows && i + row < j + column; ++row) a(i + row, j + column) = a(j + column, i + row);
    }
  });
}

bool factor_cholesky(MatrixXf& a, Index size) {
  constexpr Index kBlock = 96, kRows = 240;
  for (Index j = 0; j < size; j += kBlock) {
    const Index width = std::min(kBlock, size - j), below = size - j - width;
    if (j > 0)  // what the columns before leave of these: a[j.., j] -= l[j.., ..j] * l[j, ..j]^T
      multiply({size - j, width, j}, {&a(j, 0), 1, a.outerStride()}, {&a(j, 0), a.outerStride(), 1}, -1.0F, 1.0F,
               &a(j, j), a.outerStride(), Part::kAll);
    Eigen::Ref<MatrixXf> corner = a.block(j, j, width, width);
    const Eigen::LLT<Eigen::Ref<MatrixXf>> factor(corner);
    if (factor.info() != Eigen::Success) return false;
    tbb::parallel_for(Index{0}, (below + kRows - 1) / kRows, [&](Index tile) {
      const Index first = j + width + tile * kRows, rows = std::min(kRows, size - first);
      Eigen::Ref<MatrixXf> panel = a.block(first, j, rows, width);
      corner.triangularView<Eigen::Lower>().transpose().solveInPlace<Eigen::OnTheRight>(panel);
    });
  }
  return true;
}

}  // namespace dnateq
