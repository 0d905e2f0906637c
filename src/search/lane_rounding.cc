#include "search/lane_rounding.h"

#include <algorithm>
#include <numeric>

namespace dnateq {

using Eigen::Index;

namespace {

// wanted = target + carried + sum over i in (b, width) of couplings[i][b] * error[i], in units of gamma
DNATEQ_PER_ISA
void wanted_values(const RoundingBlock& block, Index b, const Lane& gamma, Lane& wanted, Lane& scaled) {
  float sum[kLanes];
  for (int l = 0; l < kLanes; ++l) sum[l] = block.carried[b].at[l];
  for (Index i = b + 1; i < block.width; ++i)
    for (int l = 0; l < kLanes; ++l) sum[l] += block.couplings[i * kBlock + b] * block.error[i].at[l];
  for (int l = 0; l < kLanes; ++l) {
    wanted.at[l] = block.target[b].at[l] + sum[l];
    scaled.at[l] = wanted.at[l] / gamma.at[l];
  }
}

}  // namespace

std::vector<Index> ascending_order(const Eigen::VectorXf& diagonal) {
  std::vector<Index> order(static_cast<size_t>(diagonal.size()));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return diagonal[a] < diagonal[b]; });
  return order;
}

void load_lanes(const ConstRows& matrix, LaneRows rows, std::span<const Index> order, Lane* lanes) {
  if (rows.count < kLanes) std::fill_n(lanes, order.size(), Lane{});
  for (Index l = 0; l < rows.count; ++l) {
    const float* row = matrix.data() + (rows.first + l) * matrix.outerStride();
    for (size_t j = 0; j < order.size(); ++j) lanes[j].at[l] = row[order[j]];
  }
}

void store_lanes(const Lane* lanes, LaneRows rows, std::span<const Index> order, Eigen::Ref<RowMajor> matrix) {
  for (Index l = 0; l < rows.count; ++l) {
    float* row = matrix.data() + (rows.first + l) * matrix.outerStride();
    for (size_t j = 0; j < order.size(); ++j) row[order[j]] = lanes[j].at[l];
  }
}

void load_codes(const GroupCodes& codes, LaneRows rows, std::span<const Index> order, LaneCodes* lanes) {
  if (rows.count < kLanes) std::fill_n(lanes, order.size(), LaneCodes{});
  for (Index l = 0; l < rows.count; ++l) {
    const uint8_t* row = codes.codes.data() + static_cast<size_t>(rows.first + l) * order.size();
    for (size_t j = 0; j < order.size(); ++j) lanes[j][static_cast<size_t>(l)] = row[order[j]];
  }
}

void store_codes(const LaneCodes* lanes, LaneRows rows, std::span<const Index> order, const GroupCodes& codes) {
  for (Index l = 0; l < rows.count; ++l) {
    uint8_t* row = codes.codes.data() + static_cast<size_t>(rows.first + l) * order.size();
    for (size_t j = 0; j < order.size(); ++j) row[order[j]] = lanes[j][static_cast<size_t>(l)];
  }
}

Lane load_scales(const GroupCodes& codes, LaneRows rows) {
  Lane gamma;
  for (Index l = 0; l < kLanes; ++l)
    gamma.at[l] = l < rows.count ? codes.scales[static_cast<size_t>(rows.first + l)].value : 1.0F;
  return gamma;
}

void decode_lanes(const Encoder& encoder, const LaneCodes* codes, const Lane& gamma, Index columns, Lane* w) {
  for (Index j = 0; j < columns; ++j)
    for (size_t l = 0; l < kLanes; ++l) w[j].at[l] = gamma.at[l] * encoder.decode(codes[j][l]);
}

void round_block(const RoundingBlock& block, const Encoder& encoder, const Lane& gamma) {
  Lane wanted, scaled;
  for (Index b = block.width - 1; b >= 0; --b) {
    wanted_values(block, b, gamma, wanted, scaled);
    encoder.encode(scaled.at, block.codes[b]);
    for (size_t l = 0; l < kLanes; ++l)
      block.error[b].at[l] = block.target[b].at[l] - gamma.at[l] * encoder.decode(block.codes[b][l]);
  }
}

}  // namespace dnateq
