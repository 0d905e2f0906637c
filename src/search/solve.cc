#include "search/solve.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "core/channel_scale.h"
#include "search/dense.h"
#include "search/fit.h"
#include "search/objective.h"

namespace dnateq {
namespace {

using Eigen::Index;
using Eigen::VectorXf;

// Measured: at 2,600 positions for 384 ... 1,536 inputs (MiniLM-L3) the cosine rises from .968 to .983 between 0.3 and
// 3; at 32,000 positions (ResNet-20) anything between 0.02 and 0.3 gives the same. SmolLM2-135M at 12,288 positions,
// 3 bits: mean KL .297 with a fifth of it, .280 so, .286 with 2.5 times as much.
constexpr double kDampingPerScarcity = 5.0, kMostDamping = 3.0;

// Of a row that holds nothing but zeros: any scale does that float16 has with all its digits, if the code has a zero.
constexpr float kScaleOfZeros = 1e-4F;

// How many equally weighted positions say as much (Kish's effective sample size).
double effective_positions(const LayerSamples& samples) {
  if (samples.weights.size() == 0) return std::max(1.0, static_cast<double>(samples.inputs.rows()));
  const double sum = static_cast<double>(samples.weights.sum());
  return std::max(1.0, sum * sum / static_cast<double>(samples.weights.squaredNorm()));
}

struct RowFit {
  TensorCode code;
  std::vector<RowScale> gamma;
  double uniform_relative_error = 0;
};

// All weights in units of their row's scale. The parts depend on the size alone, so that the sums do not depend on the
// threads.
template <typename ImportanceOf>
FitData pooled(const ConstRows& w, const std::vector<RowScale>& gamma, ImportanceOf importance_of) {
  const Index parts = std::clamp<Index>(w.size() >> 20, 1, std::min<Index>(8, w.rows()));
  std::vector<ValuePool> pools(static_cast<size_t>(parts));
  tbb::parallel_for(Index{0}, parts, [&](Index part) {
    ValuePool& pool = pools[static_cast<size_t>(part)];
    for (Index r = w.rows() * part / parts; r < w.rows() * (part + 1) / parts; ++r) {
      const float scale = gamma[static_cast<size_t>(r)].value;
      for (Index c = 0; c < w.cols(); ++c) pool.add(w(r, c) / scale, scale * scale * importance_of(r)[c]);
    }
  });
  for (size_t part = 1; part < pools.size(); ++part) pools[0].merge(pools[part]);
  return pools[0].data();
}

// Curve and channel scales for `w`, alternating; `importance` weighs the columns of each row's group.
RowFit fit_rows(const ConstRows& w, const RowMajor& importance, Index rows_per_group, const TensorCode& request,
                bool per_row, bool uniform, int largest_level, bool keep_base, bool may_mirror) {
  RowFit fit;
  keep_base = request.family == Family::kSharedBase || (keep_base && request.family == Family::kBeta0);
  fit.gamma.assign(static_cast<size_t>(w.rows()), RowScale{1.0F, to_float16(1.0F)});
  const auto importance_of = [&](Index r) { return importance.row(importance.rows() == 1 ? 0 : r / rows_per_group); };
  if (per_row) {
    // The root mean square over the whole tensor stays near 1 after scaling, so that float16 holds the scales.
    for (Index r = 0; r < w.rows(); ++r) {
      const float power = (w.row(r).array().square() * importance_of(r).array()).sum() / importance_of(r).sum();
      float gamma = std::sqrt(power);
      if (!(gamma > 0)) gamma = kScaleOfZeros;
      // The longer side of the code goes where the row reaches farther.
      if (request.positive_levels > request.negative_levels && -w.row(r).minCoeff() > w.row(r).maxCoeff())
        gamma = -gamma;
      fit.gamma[static_cast<size_t>(r)] = rounded_scale(gamma);
    }
  }
  const int rounds = per_row ? 3 : 1;
  for (int round = 0; round < rounds; ++round) {
    const FitData data = pooled(w, fit.gamma, importance_of);
    if (uniform)
      fit.code = fit_uniform(data, request, largest_level).code;
    else if (keep_base)
      fit.code = fit_with_base(data, request, request.base, largest_level).code;
    else
      fit.code = (may_mirror ? fit_mirrored_or_not : fit_code)(data, request, largest_level).code;
    if (round + 1 == rounds) fit.uniform_relative_error = fit_uniform(data, request).relative_error;
    if (!per_row) break;
    const Encoder encoder(fit.code);
    tbb::parallel_for(Index{0}, w.rows(), [&](Index r) {
      float gamma = fit.gamma[static_cast<size_t>(r)].value;
      std::vector<float> levels(static_cast<size_t>(w.cols()));
      for (int step = 0; step < 3; ++step) {
        for (Index c = 0; c < w.cols(); ++c) levels[static_cast<size_t>(c)] = w(r, c) / gamma;
        encoder.quantize(levels, levels);
        double wq = 0, qq = 0;
        for (Index c = 0; c < w.cols(); ++c) {
          const double q = levels[static_cast<size_t>(c)], h = importance_of(r)[c];
          wq += h * q * static_cast<double>(w(r, c));
          qq += h * q * q;
        }
        if (qq > 0 && wq != 0) gamma = rounded_scale(static_cast<float>(wq / qq)).value;
      }
      fit.gamma[static_cast<size_t>(r)] = rounded_scale(gamma);
    });
  }
  if (per_row && !has_zero(fit.code))  // rows of zeros come as near to it as scales go
    for (Index r = 0; r < w.rows(); ++r)
      if (w.row(r).isZero(0)) fit.gamma[static_cast<size_t>(r)] = rounded_scale(0.0F);
  return fit;
}

Eigen::Map<const RowMajor> as_matrix(std::span<const float> weights, const LayerShape& shape) {
  return {weights.data(), shape.rows, shape.columns};
}

std::vector<uint8_t> nearest_codes(const ConstRows& w, const Encoder& encoder, const std::vector<RowScale>& gamma) {
  std::vector<uint8_t> codes(static_cast<size_t>(w.size()));
  tbb::parallel_for(Index{0}, w.rows(), [&](Index r) {
    std::vector<float> scaled(static_cast<size_t>(w.cols()));
    for (Index c = 0; c < w.cols(); ++c) scaled[static_cast<size_t>(c)] = w(r, c) / gamma[static_cast<size_t>(r)].value;
    encoder.encode(scaled, std::span(codes).subspan(static_cast<size_t>(r * w.cols()), scaled.size()));
  });
  return codes;
}

// Makes codes safe to add in pairs (pair_sums.h), those of `wanted` weights; returns how many rows changed.
int64_t limit_pairs(const ConstRows& wanted, const RowMajor& importance, Index rows_per_group,
                    const std::vector<ColumnPair>& pairs, const TensorCode& code, const std::vector<RowScale>& gamma,
                    std::span<uint8_t> codes) {
  if (pairs.empty() || code.arithmetic != Arithmetic::kInt8Grid) return 0;
  const PairLimit limit(code, pairs);
  const Index columns = wanted.cols();
  std::atomic<int64_t> changed = 0;
  tbb::parallel_for(Index{0}, wanted.rows(), [&](Index r) {
    const std::span<uint8_t> row = codes.subspan(static_cast<size_t>(r * columns), static_cast<size_t>(columns));
    if (limit.safe(row)) return;
    std::vector<float> scaled(static_cast<size_t>(columns)), weight(scaled);
    for (Index c = 0; c < columns; ++c) {
      scaled[static_cast<size_t>(c)] = wanted(r, c) / gamma[static_cast<size_t>(r)].value;
      weight[static_cast<size_t>(c)] = importance(importance.rows() == 1 ? 0 : r / rows_per_group, c);
    }
    limit.apply(row, scaled, weight);
    ++changed;
  });
  return changed;
}

// As fit_rows, with the largest level (127, or 64, where every pair is safe) that leaves the smaller error.
RowFit fit_rows_for_pairs(const ConstRows& w, const RowMajor& importance, Index rows_per_group, const LayerShape& shape,
                          const TensorCode& request, bool per_row, bool uniform, bool keep_base = false) {
  const std::vector<ColumnPair>& pairs = shape.pairs;
  const bool may_mirror = shape.may_mirror && pairs.empty();
  // A grid that ends at 64 has no room for the 127 levels of an 8-bit code: half of its codes then go unused.
  const auto fit_to = [&](int largest_level) {
    TensorCode fitting = request;
    fitting.negative_levels = std::min(fitting.negative_levels, largest_level);
    fitting.positive_levels = std::min(fitting.positive_levels, largest_level);
    return fit_rows(w, importance, rows_per_group, fitting, per_row, uniform, largest_level, keep_base, may_mirror);
  };
  RowFit wide = fit_to(kLargestLevel);
  const auto error_of = [&](const RowFit& fit, bool& safe) {
    std::vector<uint8_t> codes = nearest_codes(w, Encoder(fit.code), fit.gamma);
    safe = limit_pairs(w, importance, rows_per_group, pairs, fit.code, fit.gamma, codes) == 0;
    const std::vector<float> levels = level_table(fit.code);
    double error = 0;
    for (Index r = 0; r < w.rows(); ++r)
      for (Index c = 0; c < w.cols(); ++c) {
        const double difference = static_cast<double>(
            w(r, c) - fit.gamma[static_cast<size_t>(r)].value * levels[codes[static_cast<size_t>(r * w.cols() + c)]]);
        error += difference * difference *
                 static_cast<double>(importance(importance.rows() == 1 ? 0 : r / rows_per_group, c));
      }
    return error;
  };
  if (pairs.empty() || request.arithmetic != Arithmetic::kInt8Grid) return wide;
  bool safe = false;
  const double wide_error = error_of(wide, safe);
  if (safe) return wide;
  RowFit narrow = fit_to(kLargestSafeLevel);
  narrow.uniform_relative_error = wide.uniform_relative_error;
  return error_of(narrow, safe) < wide_error ? narrow : wide;
}

void measure_weights(LayerSolution& solution, const ConstRows& original, const std::vector<RowScale>& gamma) {
  const std::vector<float> levels = level_table(solution.code);
  std::vector<std::array<double, 4>> sums(gamma.size());
  tbb::parallel_for(Index{0}, original.rows(), [&](Index r) {
    double error = 0, power = 0, absolute = 0, magnitude = 0;
    for (Index c = 0; c < original.cols(); ++c) {
      const uint8_t code = solution.codes[static_cast<size_t>(r * original.cols() + c)];
      const double w = original(r, c), d = w - static_cast<double>(gamma[static_cast<size_t>(r)].value * levels[code]);
      error += d * d;
      power += w * w;
      absolute += std::fabs(d);
      magnitude += std::fabs(w);
    }
    sums[static_cast<size_t>(r)] = {error, power, absolute, magnitude};
  });
  double error = 0, power = 0, absolute = 0, magnitude = 0;
  for (const auto& row : sums) {
    error += row[0];
    power += row[1];
    absolute += row[2];
    magnitude += row[3];
  }
  solution.weight_relative_error = power > 0 ? error / power : 0;
  solution.weight_rmae = magnitude > 0 ? absolute / magnitude : 0;
}

// Weights in units of 2^exponent, in which float16 holds the scales of their rows. All is done in them, and solution
// and bias are taken back (in_true_units). Where the exponent is 0, nothing is copied and nothing changes.
struct UnitWeights {
  UnitWeights(std::span<const float> weights, const LayerShape& shape)
      : exponent(scale_exponent_of(weights, shape.rows)), values_(weights) {
    if (exponent == 0) return;
    scaled_.assign(weights.begin(), weights.end());
    for (float& w : scaled_) w = std::ldexp(w, -exponent);
    values_ = scaled_;
  }
  UnitWeights(const UnitWeights&) = delete;
  UnitWeights& operator=(const UnitWeights&) = delete;

  std::span<const float> values() const { return values_; }
  float unit() const { return unit_of(exponent); }

  static float unit_of(int of_exponent) { return std::ldexp(1.0F, -of_exponent); }

  const int exponent;

 private:
  std::span<const float> values_;
  std::vector<float> scaled_;
};

void in_true_units(LayerSolution& solution, int exponent) {
  solution.scale_exponent = exponent;
  if (exponent != 0)
    for (float& bias : solution.bias) bias = std::ldexp(bias, exponent);
}

// Of the group's rows: the outputs' mean error without one.
void set_bias(LayerSolution& solution, Index first_row, Index columns, const VectorXf& input_mean,
              const VectorXf& target_mean) {
  const std::vector<float> levels = level_table(solution.code);
  tbb::parallel_for(Index{0}, target_mean.size(), [&](Index i) {
    const auto r = static_cast<size_t>(first_row + i);
    VectorXf w(columns);
    for (Index c = 0; c < columns; ++c)
      w[c] = levels[solution.codes[r * static_cast<size_t>(columns) + static_cast<size_t>(c)]];
    solution.bias[r] = target_mean[i] - from_float16(solution.gamma[r]) * w.dot(input_mean);
  });
}

}  // namespace

std::vector<float> decode_weights(const LayerSolution& solution, int64_t columns) {
  const std::vector<float> levels = level_table(solution.code);
  std::vector<float> weights(solution.codes.size());
  for (size_t i = 0, row = 0; i < weights.size(); ++row) {
    const float scale = channel_scale(solution.gamma[row], solution.scale_exponent);
    for (const size_t end = i + static_cast<size_t>(columns); i < end; ++i)
      weights[i] = scale * levels[solution.codes[i]];
  }
  return weights;
}

LayerSolution quantize_rows(std::span<const float> weights, const LayerShape& shape, const TensorCode& request,
                            bool per_row, bool uniform) {
  const UnitWeights units(weights, shape);
  const Eigen::Map<const RowMajor> w = as_matrix(units.values(), shape);
  const RowMajor even = RowMajor::Ones(1, shape.columns);
  const RowFit fit = fit_rows_for_pairs(w, even, shape.rows, shape, request, per_row, uniform);
  const Encoder encoder(fit.code);
  LayerSolution solution;
  solution.code = fit.code;
  solution.uniform_relative_error = fit.uniform_relative_error;
  solution.codes = nearest_codes(w, encoder, fit.gamma);
  limit_pairs(w, even, shape.rows, shape.pairs, fit.code, fit.gamma, solution.codes);
  for (const RowScale& scale : fit.gamma) solution.gamma.push_back(scale.bits);
  measure_weights(solution, w, fit.gamma);
  in_true_units(solution, units.exponent);
  return solution;
}

LayerSolution with_fixed_code(std::span<const float> weights, const LayerShape& shape, const TensorCode& code) {
  const Eigen::Map<const RowMajor> w = as_matrix(weights, shape);
  const std::vector<RowScale> gamma(static_cast<size_t>(shape.rows), rounded_scale(1.0F));
  const Encoder encoder(code);
  LayerSolution solution;
  solution.code = code;
  solution.codes = nearest_codes(w, encoder, gamma);
  for (const RowScale& scale : gamma) solution.gamma.push_back(scale.bits);
  measure_weights(solution, w, gamma);
  solution.uniform_relative_error = fit_uniform(FitData::from_values(weights), code).relative_error;
  return solution;
}

void correct_bias(LayerSolution& solution, const LayerShape& shape, const LayerSamples& samples) {
  const int exponent = std::exchange(solution.scale_exponent, 0);
  const std::vector<float> w = decode_weights(solution, shape.columns);
  const Index rows = shape.rows / shape.groups, columns = shape.columns;
  solution.bias.assign(static_cast<size_t>(shape.rows), 0.0F);
  double error = 0, power = 0;
  for (Index g = 0; g < shape.groups; ++g) {
    CentredSamples c = centred(samples, shape, g, UnitWeights::unit_of(exponent));
    set_bias(solution, g * rows, columns, c.input_mean, c.target_mean);
    const Index positions = c.x.rows();
    multiply({positions, rows, columns}, {c.x.data(), 1, positions}, {w.data() + g * rows * columns, 1, columns}, -1.0F,
             1.0F, c.y.data(), positions);
    for (Index r = 0; r < rows; ++r)
      error += static_cast<double>(c.y.col(r).squaredNorm()) / static_cast<double>(positions);
    power += c.target_power;
  }
  solution.output_relative_error = power > 0 ? error / power : 0;
  in_true_units(solution, exponent);
}

namespace {

// `centred_group(g, unit)`: called once for each group.
template <typename CentredGroup>
LayerSolution solve_with(std::span<const float> weights, const LayerShape& shape, double positions,
                         const CentredGroup& centred_group, const TensorCode& request, const SolveOptions& options) {
  const UnitWeights units(weights, shape);
  const Eigen::Map<const RowMajor> original = as_matrix(units.values(), shape);
  const Index groups = shape.groups, rows = shape.rows / groups, columns = shape.columns;
  // Few positions estimate second moments badly: the ridge grows with inputs per position, or the rounding would fit
  // the sample.
  const double scarcity = static_cast<double>(columns) / positions;
  const ObjectiveOptions objective_options{
      .damping = std::min(options.damping + kDampingPerScarcity * scarcity, kMostDamping),
      .compensate = options.compensate};

  RowMajor target(shape.rows, columns), importance(groups, columns);
  std::vector<std::unique_ptr<Objective>> objectives(static_cast<size_t>(groups));
  tbb::parallel_for(Index{0}, groups, [&](Index g) {
    auto& objective = objectives[static_cast<size_t>(g)];
    objective = make_objective(centred_group(g, units.unit()), original.middleRows(g * rows, rows),
                               target.middleRows(g * rows, rows), objective_options);
    importance.row(g) = objective->diagonal().transpose();
  });

  RowFit fit = fit_rows_for_pairs(target, importance, rows, shape, request, true, options.uniform, options.keep_base);
  const Encoder encoder(fit.code);
  LayerSolution solution;
  solution.code = fit.code;
  solution.uniform_relative_error = fit.uniform_relative_error;

  // Nearest rounding of the weights themselves, for comparison and as the solution without compensation.
  solution.codes = nearest_codes(original, encoder, fit.gamma);
  std::vector<double> errors(static_cast<size_t>(groups)), nearest_errors(static_cast<size_t>(groups));
  tbb::parallel_for(Index{0}, groups, [&](Index g) {
    const Objective& objective = *objectives[static_cast<size_t>(g)];
    const auto first = static_cast<size_t>(g * rows), count = static_cast<size_t>(rows);
    const auto width = static_cast<size_t>(columns);
    const GroupCodes codes{encoder, std::span(solution.codes).subspan(first * width, count * width),
                           std::span(fit.gamma).subspan(first, count)};
    nearest_errors[static_cast<size_t>(g)] = objective.error(codes);
    errors[static_cast<size_t>(g)] =
        options.compensate ? objective.round(codes, options.sweeps) : nearest_errors[static_cast<size_t>(g)];
  });
  if (limit_pairs(target, importance, rows, shape.pairs, fit.code, fit.gamma, solution.codes) > 0)
    tbb::parallel_for(Index{0}, groups, [&](Index g) {
      const auto first = static_cast<size_t>(g * rows), count = static_cast<size_t>(rows);
      const auto width = static_cast<size_t>(columns);
      errors[static_cast<size_t>(g)] = objectives[static_cast<size_t>(g)]->error(
          {encoder, std::span(solution.codes).subspan(first * width, count * width),
           std::span(fit.gamma).subspan(first, count)});
    });

  for (const RowScale& scale : fit.gamma) solution.gamma.push_back(scale.bits);
  double error = 0, nearest_error = 0, target_power = 0;
  solution.bias.assign(options.correct_bias ? static_cast<size_t>(shape.rows) : 0, 0.0F);
  for (Index g = 0; g < groups; ++g) {
    const Objective& objective = *objectives[static_cast<size_t>(g)];
    error += errors[static_cast<size_t>(g)];
    nearest_error += nearest_errors[static_cast<size_t>(g)];
    target_power += objective.target_power;
    if (options.correct_bias) set_bias(solution, g * rows, columns, objective.input_mean, objective.target_mean);
  }
  solution.output_relative_error = target_power > 0 ? error / target_power : 0;
  solution.nearest_output_relative_error = target_power > 0 ? nearest_error / target_power : 0;
  measure_weights(solution, original, fit.gamma);
  in_true_units(solution, units.exponent);
  return solution;
}

}  // namespace

LayerSolution solve_layer(std::span<const float> weights, const LayerShape& shape, const LayerSamples& samples,
                          const TensorCode& request, const SolveOptions& options) {
  const auto of_group = [&](Index g, float unit) { return centred(samples, shape, g, unit); };
  return solve_with(weights, shape, effective_positions(samples), of_group, request, options);
}

LayerSolution solve_layer(std::span<const float> weights, const LayerShape& shape, LayerSamples&& samples,
                          const TensorCode& request, const SolveOptions& options) {
  if (shape.groups > 1) return solve_layer(weights, shape, std::as_const(samples), request, options);
  const auto of_group = [&](Index, float unit) { return centred(std::move(samples), unit); };
  return solve_with(weights, shape, effective_positions(samples), of_group, request, options);
}

}  // namespace dnateq
