// What both forms of the objective (objective.h) do with 16 rows side by side: moving rows to lanes and back, and the
// part of error-compensating rounding that stays within a block of columns.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "search/dense.h"
#include "search/objective.h"

#if defined(__SANITIZE_ADDRESS__)  // resolvers of cloned functions run before the sanitizer is ready
#define DNATEQ_PER_ISA
#else
#define DNATEQ_PER_ISA __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#endif

namespace dnateq {

constexpr Eigen::Index kBlock = 24;  // columns between two updates of the state: two tiles of the AVX-512 kernel

using LaneCodes = std::array<uint8_t, kLanes>;

// Rows first ... first + count, at most kLanes. Lanes without a row hold zeros and the scale 1.
struct LaneRows {
  Eigen::Index first = 0, count = 0;
};

inline LaneRows lane_rows(Eigen::Index group, Eigen::Index rows) {
  return {group * kLanes, std::min<Eigen::Index>(kLanes, rows - group * kLanes)};
}

// Groups of lanes that one task takes together, so that they share what it reads of the large matrices.
inline Eigen::Index lane_groups_a_task(Eigen::Index rows) {
  return std::clamp<Eigen::Index>(rows / (16 * kLanes), 1, 4);
}

// Columns ascending by `diagonal`; rounding goes from the last to the first.
std::vector<Eigen::Index> ascending_order(const Eigen::VectorXf& diagonal);

// lanes[j].at[l] = matrix(rows.first + l, order[j]), and back.
void load_lanes(const ConstRows& matrix, LaneRows rows, std::span<const Eigen::Index> order, Lane* lanes);
void store_lanes(const Lane* lanes, LaneRows rows, std::span<const Eigen::Index> order, Eigen::Ref<RowMajor> matrix);
void load_codes(const GroupCodes& codes, LaneRows rows, std::span<const Eigen::Index> order, LaneCodes* lanes);
void store_codes(const LaneCodes* lanes, LaneRows rows, std::span<const Eigen::Index> order, const GroupCodes& codes);
Lane load_scales(const GroupCodes& codes, LaneRows rows);

// w[j] = gamma * level of codes[j]
void decode_lanes(const Encoder& encoder, const LaneCodes* codes, const Lane& gamma, Eigen::Index columns, Lane* w);

// One block of columns, all of it by offset in the block. With the Cholesky factor L of the second moments, in the
// order of rounding: couplings[i * kBlock + b] = L(i, b) / L(b, b) for i > b.
struct RoundingBlock {
  Eigen::Index width;
  const float* couplings;
  const Lane* carried;  // from the columns already rounded
  const Lane* target;
  LaneCodes* codes;  // out
  Lane* error;       // out: target - w^
};
void round_block(const RoundingBlock& block, const Encoder& encoder, const Lane& gamma);

}  // namespace dnateq
