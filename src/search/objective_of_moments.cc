// The objective of a layer with more positions than inputs: its second moments are held, inputs x inputs.
#include <tbb/parallel_for.h>

#include <algorithm>
#include <numeric>

#include "search/lane_rounding.h"
#include "search/objective.h"

namespace dnateq {
namespace {

using Eigen::Index;
using Eigen::MatrixXf;
using Eigen::VectorXf;

DNATEQ_PER_ISA
void add_scaled(float* target, const float* source, float factor, Index count) {
  for (Index i = 0; i < count; ++i) target[i] += factor * source[i];
}

// Up to here (depthwise convolutions, many groups at a time) packing costs more than Eigen's slower products.
constexpr Index kFewColumns = 2 * kLanes;

class ObjectiveOfMoments final : public Objective {
 public:
  ObjectiveOfMoments(CentredSamples&& samples, const ConstRows& weights, Eigen::Ref<RowMajor> target,
                     const ObjectiveOptions& options)
      : columns_(weights.cols()),
        rows_(weights.rows()),
        weights_(weights),
        target_(target),
        wanted_(weights.rows(), weights.cols()),
        row_power_(weights.rows()) {
    const bool has_targets = samples.y.cols() > 0;
    set_moments(std::move(samples), options.damping);
    if (options.compensate) factor();
    if (usable_ && has_targets) solve(target);
    if (!usable_ || !has_targets || !target.allFinite()) target = weights;
  }

  VectorXf diagonal() const override { return h_.diagonal(); }

  double error(const GroupCodes& codes) const override {
    std::vector<double> errors(static_cast<size_t>(rows_), 0.0);
    for_each_task([&](std::span<const LaneRows> groups) {
      std::vector<Lane> w(groups.size() * static_cast<size_t>(columns_));
      for (size_t g = 0; g < groups.size(); ++g) load_weights(codes, groups[g], lanes_of(w, g));
      const std::vector<Lane> hw = times_h(w);
      std::vector<float> w_row(static_cast<size_t>(columns_)), hw_row(w_row);
      for (size_t g = 0; g < groups.size(); ++g)
        for (Index l = 0; l < groups[g].count; ++l) {
          const size_t at = g * static_cast<size_t>(columns_);
          for (size_t c = 0; c < w_row.size(); ++c) {
            w_row[c] = w[at + c].at[l];
            hw_row[c] = hw[at + c].at[l];
          }
          errors[static_cast<size_t>(groups[g].first + l)] = row_error(groups[g].first + l, w_row, hw_row);
        }
    });
    return std::accumulate(errors.begin(), errors.end(), 0.0);
  }

  double round(const GroupCodes& codes, int sweeps) const override {
    std::vector<double> errors(static_cast<size_t>(rows_), 0.0);
    for_each_task([&](std::span<const LaneRows> groups) {
      round_with_compensation(codes, groups);
      std::vector<Lane> w(groups.size() * static_cast<size_t>(columns_));
      for (size_t g = 0; g < groups.size(); ++g) load_weights(codes, groups[g], lanes_of(w, g));
      const std::vector<Lane> hw = times_h(w);
      std::vector<float> w_row(static_cast<size_t>(columns_)), residual(w_row);
      for (size_t g = 0; g < groups.size(); ++g)
        for (Index l = 0; l < groups[g].count; ++l) {
          const Index r = groups[g].first + l;
          const size_t at = g * static_cast<size_t>(columns_);
          for (Index c = 0; c < columns_; ++c) {
            w_row[static_cast<size_t>(c)] = w[at + static_cast<size_t>(c)].at[l];
            residual[static_cast<size_t>(c)] = wanted_(r, c) - hw[at + static_cast<size_t>(c)].at[l];
          }
          descend(codes, r, sweeps, w_row, residual);
          for (Index c = 0; c < columns_; ++c)  // now H w^
            residual[static_cast<size_t>(c)] = wanted_(r, c) - residual[static_cast<size_t>(c)];
          errors[static_cast<size_t>(r)] = row_error(r, w_row, residual);
        }
    });
    return std::accumulate(errors.begin(), errors.end(), 0.0);
  }

 private:
  Lane* lanes_of(std::vector<Lane>& lanes, size_t group) const { return &lanes[group * static_cast<size_t>(columns_)]; }

  template <typename Task>
  void for_each_task(Task task) const {
    const Index groups = (rows_ + kLanes - 1) / kLanes, together = lane_groups_a_task(rows_);
    tbb::parallel_for(Index{0}, (groups + together - 1) / together, [&](Index i) {
      std::vector<LaneRows> own;
      for (Index g = i * together; g < std::min(groups, (i + 1) * together); ++g) own.push_back(lane_rows(g, rows_));
      task(std::span<const LaneRows>(own));
    });
  }

  void set_moments(CentredSamples&& given, double damping) {
    const CentredSamples samples = std::move(given);  // gone at the end: as large as H
    const Index positions = samples.x.rows();
    const float inverse = 1.0F / static_cast<float>(positions);
    const StridedView x{samples.x.data(), 1, positions}, x_transposed{samples.x.data(), positions, 1};
    h_.resize(padded_stride(columns_), columns_);
    if (columns_ <= kFewColumns) {
      h_.topRows(columns_).noalias() = inverse * (samples.x.transpose() * samples.x);
      if (samples.y.cols() > 0) wanted_.noalias() = inverse * (samples.y.transpose() * samples.x);
    } else {
      multiply({columns_, columns_, positions}, x_transposed, x, inverse, 0.0F, h_.data(), h_.outerStride(),
               Part::kLower);
      mirror_lower(h_, columns_);
      if (samples.y.cols() > 0)
        multiply({columns_, rows_, positions}, x_transposed, {samples.y.data(), 1, positions}, inverse, 0.0F,
                 wanted_.data(), columns_);
    }
    if (samples.y.cols() == 0) set_wanted_of_weights();
    ridge_ = static_cast<float>(damping) * h_.diagonal().mean();
    if (!(ridge_ > 0)) ridge_ = 1e-12F;
    h_.diagonal().array() += ridge_;
    wanted_ += ridge_ * weights_;
    target_power = samples.target_power;
    for (Index r = 0; r < samples.y.cols(); ++r)
      row_power_[r] = static_cast<double>(samples.y.col(r).squaredNorm()) / static_cast<double>(positions);
    input_mean = samples.input_mean;
    target_mean = samples.target_mean;
    if (samples.y.cols() == 0) {
      target_mean = weights_ * input_mean;
      target_power = row_power_.sum();
    }
  }

  // E[y x^T] and E[y^2] of y = W0 x.
  void set_wanted_of_weights() {
    multiply({columns_, rows_, columns_}, {h_.data(), 1, h_.outerStride()}, {weights_.data(), 1, columns_}, 1.0F, 0.0F,
             wanted_.data(), columns_);
    tbb::parallel_for(Index{0}, rows_,
                      [&](Index r) { row_power_[r] = static_cast<double>(weights_.row(r).dot(wanted_.row(r))); });
  }

  void factor() {
    order_ = ascending_order(diagonal());
    factor_.resize(padded_stride(columns_), columns_);
    tbb::parallel_for(Index{0}, columns_, [&](Index j) {
      const float* column = &h_(0, order_[static_cast<size_t>(j)]);
      for (Index i = j; i < columns_; ++i) factor_(i, j) = column[order_[static_cast<size_t>(i)]];
    });
    usable_ = factor_cholesky(factor_, columns_);
  }

  // W* = (E[y x^T] + ridge W0) H^-1, by forward and backward substitution.
  void solve(Eigen::Ref<RowMajor> target) const {
    const Index stride = factor_.outerStride();
    for_each_task([&](std::span<const LaneRows> groups) {
      std::vector<Lane> all(groups.size() * static_cast<size_t>(columns_));
      for (size_t g = 0; g < groups.size(); ++g) load_lanes(wanted_, groups[g], order_, lanes_of(all, g));
      for (Index first = 0; first < columns_; first += kBlock) {
        const Index width = std::min(kBlock, columns_ - first), end = first + width;
        for (size_t g = 0; g < groups.size(); ++g) {
          Lane* v = lanes_of(all, g);
          Lane negative[kBlock];
          for (Index j = first; j < end; ++j) {
            for (Index i = first; i < j; ++i)
              for (int l = 0; l < kLanes; ++l) v[j].at[l] -= factor_(j, i) * v[i].at[l];
            for (int l = 0; l < kLanes; ++l) negative[j - first].at[l] = -(v[j].at[l] /= factor_(j, j));
          }
          if (end < columns_)
            add_lane_product(&factor_(end, first), 1, stride, columns_ - end, width, negative, v + end);
        }
      }
      for (Index first = (columns_ - 1) / kBlock * kBlock; first >= 0; first -= kBlock) {
        const Index width = std::min(kBlock, columns_ - first), end = first + width;
        for (size_t g = 0; g < groups.size(); ++g) {
          Lane* v = lanes_of(all, g);
          Lane known[kBlock] = {};
          if (end < columns_) add_lane_product(&factor_(end, first), stride, 1, width, columns_ - end, v + end, known);
          for (Index j = end - 1; j >= first; --j) {
            Lane& sum = known[j - first];
            for (Index i = j + 1; i < end; ++i)
              for (int l = 0; l < kLanes; ++l) sum.at[l] += factor_(i, j) * v[i].at[l];
            for (int l = 0; l < kLanes; ++l) v[j].at[l] = (v[j].at[l] - sum.at[l]) / factor_(j, j);
          }
        }
      }
      for (size_t g = 0; g < groups.size(); ++g) store_lanes(lanes_of(all, g), groups[g], order_, target);
    });
  }

  // In the columns' own order.
  void load_weights(const GroupCodes& codes, LaneRows rows, Lane* w) const {
    if (rows.count < kLanes) std::fill_n(w, columns_, Lane{});
    for (Index l = 0; l < rows.count; ++l) {
      const auto r = static_cast<size_t>(rows.first + l);
      const uint8_t* row = codes.codes.data() + r * static_cast<size_t>(columns_);
      const float gamma = codes.scales[r].value;
      for (Index c = 0; c < columns_; ++c) w[c].at[l] = gamma * codes.encoder.decode(row[c]);
    }
  }

  std::vector<Lane> times_h(const std::vector<Lane>& w) const {
    std::vector<Lane> product(w.size(), Lane{});
    for (Index c = 0; c < columns_; c += kBlock)
      for (size_t at = 0; at < w.size(); at += static_cast<size_t>(columns_))
        add_lane_product(&h_(0, c), h_.outerStride(), 1, std::min(kBlock, columns_ - c), columns_, &w[at],
                         &product[at + static_cast<size_t>(c)]);
    return product;
  }

  // E |y - w x|^2 of one row from H w, which has the ridge in it.
  double row_error(Index r, const std::vector<float>& w, const std::vector<float>& hw) const {
    double cross = 0, power = 0;
    for (Index c = 0; c < columns_; ++c) {
      const double weight = w[static_cast<size_t>(c)], ridge = ridge_;
      cross += weight * (static_cast<double>(wanted_(r, c)) - ridge * static_cast<double>(weights_(r, c)));
      power += weight * (static_cast<double>(hw[static_cast<size_t>(c)]) - ridge * weight);
    }
    return std::max(0.0, row_power_[r] - 2 * cross + power);
  }

  void round_with_compensation(const GroupCodes& codes, std::span<const LaneRows> groups) const {
    const size_t columns = order_.size();
    std::vector<Lane> target(groups.size() * columns), error(groups.size() * columns);
    std::vector<LaneCodes> lane_codes(groups.size() * columns);
    for (size_t g = 0; g < groups.size(); ++g) load_lanes(target_, groups[g], order_, lanes_of(target, g));
    float couplings[kBlock * kBlock];
    for (Index first = (columns_ - 1) / kBlock * kBlock; first >= 0; first -= kBlock) {
      const Index width = std::min(kBlock, columns_ - first), end = first + width;
      for (Index i = 0; i < width; ++i)
        for (Index b = 0; b < i; ++b)
          couplings[i * kBlock + b] = usable_ ? factor_(first + i, first + b) / factor_(first + b, first + b) : 0.0F;
      for (size_t g = 0; g < groups.size(); ++g) {
        Lane carried[kBlock] = {};
        if (usable_ && end < columns_)
          add_lane_product(&factor_(end, first), factor_.outerStride(), 1, width, columns_ - end,
                           lanes_of(error, g) + end, carried);
        for (Index b = 0; b < width && usable_; ++b)
          for (float& value : carried[b].at) value /= factor_(first + b, first + b);
        round_block({width, couplings, carried, lanes_of(target, g) + first, &lane_codes[g * columns] + first,
                     lanes_of(error, g) + first},
                    codes.encoder, load_scales(codes, groups[g]));
      }
    }
    for (size_t g = 0; g < groups.size(); ++g) store_codes(&lane_codes[g * columns], groups[g], order_, codes);
  }

  // `residual` = wanted - H w^ throughout; few codes change, so each change updates it by one column of H.
  void descend(const GroupCodes& codes, Index r, int sweeps, std::vector<float>& w,
               std::vector<float>& residual) const {
    uint8_t* row = codes.codes.data() + r * columns_;
    RowScale& scale = codes.scales[static_cast<size_t>(r)];
    const auto pass = [&] {
      bool changed = false;
      for (Index c = 0; c < columns_; ++c) {
        const auto at = static_cast<size_t>(c);
        const float before = w[at];
        const uint8_t code = codes.encoder.encode((before + residual[at] / h_(c, c)) / scale.value);
        if (code == row[c]) continue;
        row[c] = code;
        w[at] = scale.value * codes.encoder.decode(code);
        add_scaled(residual.data(), &h_(0, c), before - w[at], columns_);
        changed = true;
      }
      return changed;
    };
    for (int sweep = 0; sweep < sweeps; ++sweep) {
      if (pass()) pass();
      double wanted_w = 0, w_hw = 0;
      for (Index c = 0; c < columns_; ++c) {
        const double value = w[static_cast<size_t>(c)];
        wanted_w += static_cast<double>(wanted_(r, c)) * value;
        w_hw += static_cast<double>(wanted_(r, c) - residual[static_cast<size_t>(c)]) * value;
      }
      if (!(w_hw > 0) || !(wanted_w > 0)) continue;
      const float old = scale.value;
      scale = rounded_scale(static_cast<float>(wanted_w / w_hw) * old);
      const float ratio = scale.value / old;
      for (Index c = 0; c < columns_; ++c) {
        const auto at = static_cast<size_t>(c);
        residual[at] = wanted_(r, c) - ratio * (wanted_(r, c) - residual[at]);
        w[at] = scale.value * codes.encoder.decode(row[c]);
      }
    }
    pass();
  }

  Index columns_, rows_;
  ConstRows weights_, target_;
  float ridge_ = 0;
  MatrixXf h_;       // columns x columns, with the ridge; columns padded_stride apart
  RowMajor wanted_;  // E[y x^T] + ridge W0
  Eigen::VectorXd row_power_;
  std::vector<Index> order_;
  MatrixXf factor_;  // lower Cholesky factor of H in that order; columns padded_stride apart
  bool usable_ = false;
};

}  // namespace

std::unique_ptr<Objective> objective_of_moments(CentredSamples&& samples, const ConstRows& weights,
                                                const Eigen::Ref<RowMajor>& target, const ObjectiveOptions& options) {
  return std::make_unique<ObjectiveOfMoments>(std::move(samples), weights, target, options);
}

}  // namespace dnateq
