// The objective of a layer with more inputs than positions: the samples themselves are held, positions x inputs.
#include <tbb/parallel_for.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <numeric>

#include "search/lane_rounding.h"
#include "search/objective.h"

namespace dnateq {
namespace {

using Eigen::Index;
using Eigen::MatrixXf;
using Eigen::VectorXf;

constexpr Index kChunk = 4 * kBlock;  // columns between two updates of the inverse

// One block of columns visited by coordinate descent for 16 rows.
struct Visit {
  Index width;
  const float* gram;              // kBlock x kBlock: products of the block's columns
  const float* inverse_diagonal;  // 1 / (|x_c|^2 + 1)
  const Lane* target;
  Lane* w;
  LaneCodes* codes;
  Lane* slope;   // in: x_c . u at the block's start
  Lane* change;  // out: what w^ loses, which X (target - w^) gains
};

DNATEQ_PER_ISA
void best_values(const Visit& visit, Index b, const Lane& gamma, Lane& scaled) {
  for (int l = 0; l < kLanes; ++l) {
    const float w = visit.w[b].at[l];
    const float residual = visit.slope[b].at[l] + (visit.target[b].at[l] - w);
    scaled.at[l] = (w + residual * visit.inverse_diagonal[b]) / gamma.at[l];
  }
}

DNATEQ_PER_ISA
void carry_change(const Visit& visit, Index b) {
  for (Index i = b + 1; i < visit.width; ++i)
    for (int l = 0; l < kLanes; ++l) visit.slope[i].at[l] += visit.gram[b * kBlock + i] * visit.change[b].at[l];
}

bool descend_block(const Visit& visit, const Encoder& encoder, const Lane& gamma) {
  bool changed = false;
  Lane scaled;
  LaneCodes codes;
  for (Index b = 0; b < visit.width; ++b) {
    best_values(visit, b, gamma, scaled);
    encoder.encode(scaled.at, codes);
    visit.change[b] = {};
    if (codes == visit.codes[b]) continue;
    for (size_t l = 0; l < kLanes; ++l) {
      if (codes[l] == visit.codes[b][l]) continue;
      const float before = visit.w[b].at[l];
      visit.w[b].at[l] = gamma.at[l] * encoder.decode(codes[l]);
      visit.change[b].at[l] = before - visit.w[b].at[l];
    }
    visit.codes[b] = codes;
    carry_change(visit, b);
    changed = true;
  }
  return changed;
}

// Samples are scaled so that E[x x^T] + ridge I is ridge * (X^T X + I) with X of positions x columns.
class ObjectiveOfSamples final : public Objective {
 public:
  ObjectiveOfSamples(CentredSamples&& given, const ConstRows& weights, Eigen::Ref<RowMajor> target,
                     const ObjectiveOptions& options)
      : columns_(weights.cols()), rows_(weights.rows()), positions_(given.x.rows()), target_(target) {
    CentredSamples samples = std::move(given);
    input_mean = samples.input_mean;
    target_mean = samples.target_mean;
    target_power = samples.target_power;
    VectorXf power = samples.x.colwise().squaredNorm().transpose() / static_cast<float>(positions_);
    ridge_ = static_cast<float>(options.damping) * power.mean();
    if (!(ridge_ > 0)) ridge_ = 1e-12F;
    const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(positions_) * static_cast<double>(ridge_)));
    samples.x *= scale;
    samples.y *= scale;
    diagonal_ = power.array() + ridge_;
    order_ = ascending_order(diagonal_);
    set_blocks(samples.x);
    load_targets(samples.y);
    subtract_outputs(weights);
    if (options.compensate) {
      const MatrixXf inverse = set_gains(samples.x);
      if (usable_) solve(inverse, weights, target);
    }
    if (!usable_) std::fill(couplings_.begin(), couplings_.end(), 0.0F);
    if (!usable_ || !target.allFinite()) {
      target = weights;
      if (usable_) {  // `solve` replaced it
        residual_ = y_;
        subtract_outputs(weights);
      }
    }
  }

  VectorXf diagonal() const override { return diagonal_; }

  double error(const GroupCodes& codes) const override {
    std::vector<double> errors(static_cast<size_t>(rows_), 0.0);
    for_each_task([&](std::span<const LaneRows> groups) {
      std::vector<State> states = states_of(codes, groups);
      for (size_t g = 0; g < groups.size(); ++g) {
        load_codes(codes, groups[g], order_, states[g].codes.data());
        decode_lanes(codes.encoder, states[g].codes.data(), states[g].gamma, columns_, states[g].w.data());
      }
      std::vector<Lane> difference(kBlock);
      for (Index block = 0; block < blocks(); ++block)
        for (State& state : states) {
          const auto at = static_cast<size_t>(block * kBlock);
          for (size_t b = 0; b < static_cast<size_t>(width_of(block)); ++b)
            for (int l = 0; l < kLanes; ++l) difference[b].at[l] = state.target[at + b].at[l] - state.w[at + b].at[l];
          add_outputs(block, difference.data(), state.u.data());
        }
      for (size_t g = 0; g < groups.size(); ++g) set_errors(groups[g], states[g], errors);
    });
    return std::accumulate(errors.begin(), errors.end(), 0.0);
  }

  double round(const GroupCodes& codes, int sweeps) const override {
    std::vector<double> errors(static_cast<size_t>(rows_), 0.0);
    for_each_task([&](std::span<const LaneRows> groups) {
      std::vector<State> states = states_of(codes, groups);
      round_with_compensation(codes.encoder, states);
      for (int sweep = 0; sweep < sweeps; ++sweep) {
        if (descend(codes.encoder, states)) descend(codes.encoder, states);
        for (size_t g = 0; g < groups.size(); ++g) refit_scales(codes, groups[g], states[g]);
      }
      descend(codes.encoder, states);
      for (size_t g = 0; g < groups.size(); ++g) {
        store_codes(states[g].codes.data(), groups[g], order_, codes);
        set_errors(groups[g], states[g], errors);
      }
    });
    return std::accumulate(errors.begin(), errors.end(), 0.0);
  }

 private:
  struct State {  // of 16 rows, columns in order_
    std::vector<Lane> target, w;
    std::vector<LaneCodes> codes;
    Lane gamma;
    std::vector<Lane> u;  // X (target - w^)
  };

  template <typename Task>
  void for_each_task(Task task) const {
    const Index groups = (rows_ + kLanes - 1) / kLanes, together = lane_groups_a_task(rows_);
    tbb::parallel_for(Index{0}, (groups + together - 1) / together, [&](Index i) {
      std::vector<LaneRows> own;
      for (Index g = i * together; g < std::min(groups, (i + 1) * together); ++g) own.push_back(lane_rows(g, rows_));
      task(std::span<const LaneRows>(own));
    });
  }

  Index blocks() const { return (columns_ + kBlock - 1) / kBlock; }
  Index width_of(Index block) const { return std::min(kBlock, columns_ - block * kBlock); }
  const float* x_of(Index block) const { return &x_[static_cast<size_t>(block * kBlock * positions_)]; }
  const float* gains_of(Index block) const { return &gains_[static_cast<size_t>(block * kBlock * positions_)]; }
  const Lane* residual_of(LaneRows rows) const {
    return &residual_[static_cast<size_t>(rows.first / kLanes * positions_)];
  }
  const Lane* y_of(LaneRows rows) const { return &y_[static_cast<size_t>(rows.first / kLanes * positions_)]; }

  // out += X_block * difference
  void add_outputs(Index block, const Lane* difference, Lane* out) const {
    add_lane_product(x_of(block), kBlock, 1, positions_, width_of(block), difference, out);
  }

  void set_blocks(const MatrixXf& x) {
    const auto size = static_cast<size_t>(blocks() * kBlock);
    x_.assign(size * static_cast<size_t>(positions_), 0.0F);
    gram_.assign(size * kBlock, 0.0F);
    inverse_diagonal_.resize(size);
    tbb::parallel_for(Index{0}, blocks(), [&](Index block) {
      float* packed = x_.data() + block * kBlock * positions_;
      for (Index b = 0; b < width_of(block); ++b) {
        const auto at = static_cast<size_t>(block * kBlock + b);
        const float* column = &x(0, order_[at]);
        for (Index p = 0; p < positions_; ++p) packed[p * kBlock + b] = column[p];
      }
      Eigen::Map<MatrixXf> gram(gram_.data() + block * kBlock * kBlock, kBlock, kBlock);
      const Eigen::Map<const MatrixXf> columns(packed, kBlock, positions_);
      gram.noalias() = columns * columns.transpose();
      for (Index b = 0; b < kBlock; ++b)
        inverse_diagonal_[static_cast<size_t>(block * kBlock + b)] = 1 / (gram(b, b) + 1);
    });
  }

  void load_targets(const MatrixXf& y) {
    y_.assign(static_cast<size_t>((rows_ + kLanes - 1) / kLanes * positions_), Lane{});
    for (Index r = 0; r < rows_; ++r)
      for (Index p = 0; p < positions_; ++p)
        y_[static_cast<size_t>(r / kLanes * positions_ + p)].at[r % kLanes] = y(p, r);
    residual_ = y_;
  }

  // From the residual, those of the weights as they came.
  void subtract_outputs(const ConstRows& weights) {
    for_each_task([&](std::span<const LaneRows> groups) {
      const auto columns = static_cast<size_t>(columns_);
      std::vector<Lane> negative(groups.size() * columns);
      for (size_t g = 0; g < groups.size(); ++g) {
        load_lanes(weights, groups[g], order_, &negative[g * columns]);
        for (size_t j = 0; j < columns; ++j)
          for (float& value : negative[g * columns + j].at) value = -value;
      }
      for (Index block = 0; block < blocks(); ++block)
        for (size_t g = 0; g < groups.size(); ++g)
          add_outputs(block, &negative[g * columns + static_cast<size_t>(block * kBlock)],
                      residual_.data() + groups[g].first / kLanes * positions_);
    });
  }

  // The columns enter in ascending order. With P the inverse of I + sum of x x^T over those before a chunk, Q = P X and
  // I + X^T Q = L L^T, the gain of each column, (I + sum up to it)^-1 x, is its column of Z = Q L^-T divided by L's
  // diagonal, and P loses Z Z^T. Returns P after the last column.
  MatrixXf set_gains(const MatrixXf& x) {
    const Index stride = padded_stride(positions_);
    gains_.assign(x_.size(), 0.0F);
    couplings_.assign(gram_.size(), 0.0F);
    MatrixXf inverse = MatrixXf::Zero(stride, positions_), chunk(positions_, kChunk), q(positions_, kChunk),
             inner(kChunk, kChunk);
    inverse.diagonal().setOnes();
    for (Index first = 0; first < columns_; first += kChunk) {
      const Index width = std::min(kChunk, columns_ - first);
      for (Index j = 0; j < width; ++j) chunk.col(j) = x.col(order_[static_cast<size_t>(first + j)]);
      multiply({positions_, width, positions_}, {inverse.data(), 1, stride}, {chunk.data(), 1, positions_}, 1.0F, 0.0F,
               q.data(), positions_);
      multiply({width, width, positions_}, {chunk.data(), positions_, 1}, {q.data(), 1, positions_}, 1.0F, 0.0F,
               inner.data(), kChunk);
      inner.diagonal().array() += 1.0F;
      const Eigen::LLT<MatrixXf> factor(inner.topLeftCorner(width, width));
      if (factor.info() != Eigen::Success) return inverse;
      const MatrixXf l = factor.matrixL();
      auto z = q.leftCols(width);
      l.triangularView<Eigen::Lower>().transpose().solveInPlace<Eigen::OnTheRight>(z);
      multiply({positions_, positions_, width}, {q.data(), 1, positions_}, {q.data(), positions_, 1}, -1.0F, 1.0F,
               inverse.data(), stride, Part::kLower);
      mirror_lower(inverse, positions_);
      for (Index j = 0; j < width; ++j) {
        const Index block = (first + j) / kBlock, b = j % kBlock;
        float* gains = gains_.data() + block * kBlock * positions_ + b;
        for (Index p = 0; p < positions_; ++p) gains[p * kBlock] = z(p, j) / l(j, j);
        float* couplings = couplings_.data() + block * kBlock * kBlock + b;
        for (Index i = b + 1; i < std::min(kBlock, width - (j - b)); ++i)
          couplings[i * kBlock] = l(j - b + i, j) / l(j, j);
      }
    }
    usable_ = inverse.allFinite();
    return inverse;
  }

  // W* = W0 + ((X X^T + I)^-1 (y - X W0))^T X; what it leaves of the targets is the left factor itself.
  void solve(const MatrixXf& inverse, const ConstRows& weights, Eigen::Ref<RowMajor> target) {
    const auto columns = static_cast<size_t>(columns_), positions = static_cast<size_t>(positions_);
    for_each_task([&](std::span<const LaneRows> groups) {
      std::vector<Lane> w(groups.size() * columns), left(groups.size() * positions, Lane{});
      for (size_t g = 0; g < groups.size(); ++g) {
        Lane* residual = residual_.data() + groups[g].first / kLanes * positions_;
        add_lane_product(inverse.data(), inverse.outerStride(), 1, positions_, positions_, residual,
                         &left[g * positions]);
        std::copy_n(&left[g * positions], positions, residual);
        load_lanes(weights, groups[g], order_, &w[g * columns]);
      }
      for (Index block = 0; block < blocks(); ++block)
        for (size_t g = 0; g < groups.size(); ++g)
          add_lane_product(x_of(block), 1, kBlock, width_of(block), positions_, &left[g * positions],
                           &w[g * columns + static_cast<size_t>(block * kBlock)]);
      for (size_t g = 0; g < groups.size(); ++g) store_lanes(&w[g * columns], groups[g], order_, target);
    });
  }

  std::vector<State> states_of(const GroupCodes& codes, std::span<const LaneRows> groups) const {
    std::vector<State> states(groups.size());
    for (size_t g = 0; g < groups.size(); ++g) {
      State& state = states[g];
      state.target.resize(static_cast<size_t>(columns_));
      state.w.resize(static_cast<size_t>(columns_));
      state.codes.resize(static_cast<size_t>(columns_));
      load_lanes(target_, groups[g], order_, state.target.data());
      state.gamma = load_scales(codes, groups[g]);
      state.u.assign(static_cast<size_t>(positions_), Lane{});
    }
    return states;
  }

  void round_with_compensation(const Encoder& encoder, std::vector<State>& states) const {
    for (Index block = blocks() - 1; block >= 0; --block)
      for (State& state : states) {
        const auto first = static_cast<size_t>(block * kBlock);
        Lane carried[kBlock] = {}, error[kBlock];
        if (usable_) add_lane_product(gains_of(block), 1, kBlock, width_of(block), positions_, state.u.data(), carried);
        round_block(
            {width_of(block), &couplings_[first * kBlock], carried, &state.target[first], &state.codes[first], error},
            encoder, state.gamma);
        add_outputs(block, error, state.u.data());
      }
    for (State& state : states) decode_lanes(encoder, state.codes.data(), state.gamma, columns_, state.w.data());
  }

  // One pass over the columns; true if any code changed.
  bool descend(const Encoder& encoder, std::vector<State>& states) const {
    bool any = false;
    for (Index block = 0; block < blocks(); ++block)
      for (State& state : states) {
        const auto first = static_cast<size_t>(block * kBlock);
        Lane slope[kBlock] = {}, change[kBlock];
        add_lane_product(x_of(block), 1, kBlock, width_of(block), positions_, state.u.data(), slope);
        if (!descend_block({width_of(block), &gram_[first * kBlock], &inverse_diagonal_[first], &state.target[first],
                            &state.w[first], &state.codes[first], slope, change},
                           encoder, state.gamma))
          continue;
        add_outputs(block, change, state.u.data());
        any = true;
      }
    return any;
  }

  // Least squares of each row's scale, the codes held.
  void refit_scales(const GroupCodes& codes, LaneRows rows, State& state) const {
    const Lane *y = y_of(rows), *residual = residual_of(rows);
    double wanted_w[kLanes] = {}, w_hw[kLanes] = {};
    const auto output = [&](size_t p, int l) { return y[p].at[l] - residual[p].at[l]; };  // of the target
    for (size_t p = 0; p < state.u.size(); ++p)
      for (int l = 0; l < kLanes; ++l) {
        const double wanted = output(p, l), got = wanted - static_cast<double>(state.u[p].at[l]);
        wanted_w[l] += wanted * got;
        w_hw[l] += got * got;
      }
    for (size_t j = 0; j < state.w.size(); ++j)
      for (int l = 0; l < kLanes; ++l) {
        const double w = state.w[j].at[l];
        wanted_w[l] += static_cast<double>(state.target[j].at[l]) * w;
        w_hw[l] += w * w;
      }
    Lane ratio;
    for (Index l = 0; l < kLanes; ++l) {
      ratio.at[l] = 1;
      if (l >= rows.count || !(w_hw[l] > 0) || !(wanted_w[l] > 0)) continue;
      RowScale& scale = codes.scales[static_cast<size_t>(rows.first + l)];
      const float old = scale.value;
      scale = rounded_scale(static_cast<float>(wanted_w[l] / w_hw[l]) * old);
      ratio.at[l] = scale.value / old;
      state.gamma.at[l] = scale.value;
    }
    for (size_t p = 0; p < state.u.size(); ++p)
      for (int l = 0; l < kLanes; ++l) {
        const float wanted = output(p, l);
        state.u[p].at[l] = wanted - ratio.at[l] * (wanted - state.u[p].at[l]);
      }
    decode_lanes(codes.encoder, state.codes.data(), state.gamma, columns_, state.w.data());
  }

  void set_errors(LaneRows rows, const State& state, std::vector<double>& errors) const {
    const Lane* residual = residual_of(rows);
    for (size_t p = 0; p < state.u.size(); ++p)
      for (Index l = 0; l < rows.count; ++l) {
        const double left = static_cast<double>(residual[p].at[l]) + static_cast<double>(state.u[p].at[l]);
        errors[static_cast<size_t>(rows.first + l)] += left * left * static_cast<double>(ridge_);
      }
  }

  Index columns_, rows_, positions_;
  ConstRows target_;
  float ridge_ = 0;
  VectorXf diagonal_;
  std::vector<Index> order_;
  // By blocks of kBlock columns in order_, zeros beyond the last: positions x kBlock, or kBlock x kBlock.
  std::vector<float> x_, gains_, gram_, couplings_, inverse_diagonal_;
  std::vector<Lane> y_, residual_;  // by 16 rows: positions; the residual is y - X target
  bool usable_ = false;
};

}  // namespace

std::unique_ptr<Objective> objective_of_samples(CentredSamples&& samples, const ConstRows& weights,
                                                const Eigen::Ref<RowMajor>& target, const ObjectiveOptions& options) {
  return std::make_unique<ObjectiveOfSamples>(std::move(samples), weights, target, options);
}

}  // namespace dnateq
