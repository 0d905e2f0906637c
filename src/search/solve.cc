#include "search/solve.h"

#include <tbb/parallel_for.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/pack.h"
#include "search/fit.h"

#if defined(__SANITIZE_ADDRESS__)  // resolvers of cloned functions run before the sanitizer is ready
#define DNATEQ_PER_ISA
#else
#define DNATEQ_PER_ISA __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#endif

namespace dnateq {
namespace {

using Eigen::Index;
using Eigen::MatrixXf;
using Eigen::VectorXf;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Measured: at 2,600 positions for 384 ... 1,536 inputs (MiniLM-L3) the cosine rises from .968 to .983 between 0.3 and
// 3; at 32,000 positions (ResNet-20) anything between 0.02 and 0.3 gives the same.
constexpr double kDampingPerScarcity = 5.0, kMostDamping = 3.0;
constexpr int kLanes = 16;  // rows rounded together: one AVX-512 register

// sum[lane] = sum over i of column[i] * errors[i][lane]
DNATEQ_PER_ISA
void project(const float* column, const float* errors, Index count, float* sum) {
  float acc[4][kLanes] = {};
  Index i = 0;
  for (; i + 4 <= count; i += 4)
    for (int u = 0; u < 4; ++u)
      for (int lane = 0; lane < kLanes; ++lane) acc[u][lane] += column[i + u] * errors[(i + u) * kLanes + lane];
  for (; i < count; ++i)
    for (int lane = 0; lane < kLanes; ++lane) acc[0][lane] += column[i] * errors[i * kLanes + lane];
  for (int lane = 0; lane < kLanes; ++lane) sum[lane] = (acc[0][lane] + acc[1][lane]) + (acc[2][lane] + acc[3][lane]);
}

DNATEQ_PER_ISA
void add_scaled(float* target, const float* source, float factor, Index count) {
  for (Index i = 0; i < count; ++i) target[i] += factor * source[i];
}

// Left side times transposed right side over the samples, in tiles so that the result does not depend on the threads.
MatrixXf transpose_product(const Eigen::Ref<const MatrixXf>& a, const Eigen::Ref<const MatrixXf>& b, bool symmetric) {
  constexpr Index kTile = 192;
  MatrixXf out(a.cols(), b.cols());
  const Index tiles_a = (a.cols() + kTile - 1) / kTile, tiles_b = (b.cols() + kTile - 1) / kTile;
  tbb::parallel_for(Index{0}, tiles_a * tiles_b, [&](Index tile) {
    const Index i = (tile / tiles_b) * kTile, j = (tile % tiles_b) * kTile;
    if (symmetric && j < i) return;
    const Index rows = std::min(kTile, a.cols() - i), cols = std::min(kTile, b.cols() - j);
    out.block(i, j, rows, cols).noalias() = a.middleCols(i, rows).transpose() * b.middleCols(j, cols);
    if (symmetric && j > i) out.block(j, i, cols, rows) = out.block(i, j, rows, cols).transpose();
  });
  return out;
}

struct Moments {  // of one group
  MatrixXf h;     // columns x columns, centred
  RowMajor g;     // rows of the group x columns, centred
  VectorXf input_mean, target_mean;
  VectorXf target_power;  // centred, per row
};

// How many equally weighted positions say as much (Kish's effective sample size).
double effective_positions(const LayerSamples& samples) {
  if (samples.weights.size() == 0) return std::max(1.0, static_cast<double>(samples.inputs.rows()));
  const double sum = static_cast<double>(samples.weights.sum());
  return std::max(1.0, sum * sum / static_cast<double>(samples.weights.squaredNorm()));
}

Moments moments_of(const LayerSamples& samples, const LayerShape& shape, Index group) {
  const Index columns = shape.columns, rows = shape.rows / shape.groups;
  MatrixXf x = samples.inputs.middleCols(group * columns, columns);
  MatrixXf y = samples.targets.middleCols(group * rows, rows);
  const auto count = static_cast<float>(x.rows());
  VectorXf importance = samples.weights;
  if (importance.size() == 0) importance = VectorXf::Ones(x.rows());
  const float total = importance.sum();
  Moments m;
  m.input_mean = x.transpose() * importance / total;
  m.target_mean = y.transpose() * importance / total;
  const VectorXf root = (importance * (count / total)).cwiseSqrt();
  x.rowwise() -= m.input_mean.transpose();
  y.rowwise() -= m.target_mean.transpose();
  if (samples.weights.size() != 0) {
    x.array().colwise() *= root.array();
    y.array().colwise() *= root.array();
  }
  m.target_power = y.colwise().squaredNorm().transpose() / count;
  m.h = transpose_product(x, x, true) / count;
  m.g = transpose_product(y, x, false) / count;
  return m;
}

// Error of the rows' outputs against the target, summed over rows: E|y - w^ x|^2, centred.
double output_error(const Moments& m, const RowMajor& w) {
  const RowMajor wh = w * m.h;
  double error = 0;
  for (Index r = 0; r < w.rows(); ++r) {
    const double cross = w.row(r).dot(m.g.row(r));
    const double power = w.row(r).dot(wh.row(r));
    error += std::max(0.0, static_cast<double>(m.target_power[r]) - 2 * cross + power);
  }
  return error;
}

struct RowScale {
  float value = 1;
  uint16_t bits = 0;
};

RowScale rounded(float gamma) {
  RowScale scale;
  scale.bits = to_float16(gamma);
  scale.value = from_float16(scale.bits);
  if (scale.value == 0 || !std::isfinite(scale.value)) {  // beyond float16: the nearest usable scale
    scale.value = std::fabs(gamma) < 1 ? std::copysign(6.0e-8F, gamma) : std::copysign(65504.0F, gamma);
    scale.bits = to_float16(scale.value);
    scale.value = from_float16(scale.bits);
  }
  return scale;
}

struct RowFit {
  TensorCode code;
  std::vector<RowScale> gamma;
  double uniform_relative_error = 0;
};

// Curve and channel scales for `w`, alternating; `importance` weighs the columns of each row's group.
RowFit fit_rows(const RowMajor& w, const RowMajor& importance, Index rows_per_group, const TensorCode& request,
                bool per_row, bool uniform) {
  RowFit fit;
  fit.gamma.assign(static_cast<size_t>(w.rows()), RowScale{1.0F, to_float16(1.0F)});
  const auto importance_of = [&](Index r) { return importance.row(importance.rows() == 1 ? 0 : r / rows_per_group); };
  std::vector<float> scaled(static_cast<size_t>(w.size())), weight(static_cast<size_t>(w.size()));
  if (per_row) {
    // The root mean square over the whole tensor stays near 1 after scaling, so that float16 holds the scales.
    for (Index r = 0; r < w.rows(); ++r) {
      const float power = (w.row(r).array().square() * importance_of(r).array()).sum() / importance_of(r).sum();
      float gamma = std::sqrt(power);
      if (!(gamma > 0)) gamma = 1e-4F;
      // The longer side of the code goes where the row reaches farther.
      if (request.positive_levels > request.negative_levels && -w.row(r).minCoeff() > w.row(r).maxCoeff())
        gamma = -gamma;
      fit.gamma[static_cast<size_t>(r)] = rounded(gamma);
    }
  }
  const int rounds = per_row ? 3 : 1;
  for (int round = 0; round < rounds; ++round) {
    for (Index r = 0; r < w.rows(); ++r) {
      const float gamma = fit.gamma[static_cast<size_t>(r)].value;
      const auto at = static_cast<size_t>(r * w.cols());
      for (Index c = 0; c < w.cols(); ++c) {
        scaled[at + static_cast<size_t>(c)] = w(r, c) / gamma;
        weight[at + static_cast<size_t>(c)] = gamma * gamma * importance_of(r)[c];
      }
    }
    const FitData data = FitData::from_values(scaled, weight);
    if (uniform)
      fit.code = fit_uniform(data, request).code;
    else if (request.family == Family::kSharedBase)
      fit.code = fit_with_base(data, request, request.base).code;
    else
      fit.code = fit_code(data, request).code;
    if (round + 1 == rounds) fit.uniform_relative_error = fit_uniform(data, request).relative_error;
    if (!per_row) break;
    const Encoder encoder(fit.code);
    tbb::parallel_for(Index{0}, w.rows(), [&](Index r) {
      float gamma = fit.gamma[static_cast<size_t>(r)].value;
      for (int step = 0; step < 3; ++step) {
        double wq = 0, qq = 0;
        for (Index c = 0; c < w.cols(); ++c) {
          const double q = encoder.decode(encoder.encode(w(r, c) / gamma));
          const double h = importance_of(r)[c];
          wq += h * q * static_cast<double>(w(r, c));
          qq += h * q * q;
        }
        if (qq > 0 && wq != 0) gamma = rounded(static_cast<float>(wq / qq)).value;
      }
      fit.gamma[static_cast<size_t>(r)] = rounded(gamma);
    });
  }
  return fit;
}

// State of the rounding of one group's rows.
struct RoundingState {
  const Encoder& encoder;
  const RowMajor& target;        // W*
  RowMajor& w;                   // w^
  std::vector<uint8_t>& codes;   // of the whole layer
  std::vector<RowScale>& gamma;  // of the whole layer
  Index first_row;

  void set(Index r, Index c, uint8_t code) {
    codes[static_cast<size_t>((first_row + r) * w.cols() + c)] = code;
    w(r, c) = gamma[static_cast<size_t>(first_row + r)].value * encoder.decode(code);
  }
};

// Error-compensating rounding: columns in descending order of diag(H), each error carried to the columns still open.
void round_with_compensation(RoundingState& state, const MatrixXf& h) {
  const Index columns = h.rows(), rows = state.w.rows();
  std::vector<Index> order(static_cast<size_t>(columns));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return h(a, a) < h(b, b); });
  MatrixXf permuted(columns, columns);
  for (Index j = 0; j < columns; ++j)
    for (Index i = 0; i < columns; ++i)
      permuted(i, j) = h(order[static_cast<size_t>(i)], order[static_cast<size_t>(j)]);
  Eigen::LLT<Eigen::Ref<MatrixXf>> factor(permuted);  // in place
  const bool usable = factor.info() == Eigen::Success;
  tbb::parallel_for(Index{0}, (rows + kLanes - 1) / kLanes, [&](Index block) {
    std::vector<float> errors(static_cast<size_t>(columns * kLanes), 0.0F);
    const Index first = block * kLanes, count = std::min<Index>(kLanes, rows - first);
    float carried[kLanes];
    for (Index j = columns - 1; j >= 0; --j) {
      const Index c = order[static_cast<size_t>(j)];
      std::fill_n(carried, kLanes, 0.0F);
      if (usable)
        project(&permuted(j, j) + 1, &errors[static_cast<size_t>((j + 1) * kLanes)], columns - 1 - j, carried);
      const float pivot = usable ? permuted(j, j) : 1.0F;
      for (Index lane = 0; lane < count; ++lane) {
        const Index r = first + lane;
        const float wanted = state.target(r, c) + carried[lane] / pivot;
        const float gamma = state.gamma[static_cast<size_t>(state.first_row + r)].value;
        state.set(r, c, state.encoder.encode(wanted / gamma));
        errors[static_cast<size_t>(j * kLanes + lane)] = state.target(r, c) - state.w(r, c);
      }
    }
  });
}

// Coordinate descent on the codes, two passes a sweep, with a least-squares refit of each row's scale between sweeps.
void descend(RoundingState& state, const MatrixXf& h, int sweeps) {
  const Index columns = h.rows(), rows = state.w.rows();
  constexpr Index kBlock = 32;
  tbb::parallel_for(Index{0}, (rows + kBlock - 1) / kBlock, [&](Index block) {
    const Index first = block * kBlock, count = std::min(kBlock, rows - first);
    // One column a row of the layer: contiguous for the updates.
    const MatrixXf wanted = h * state.target.middleRows(first, count).transpose();
    MatrixXf residual = wanted - h * state.w.middleRows(first, count).transpose();
    for (Index i = 0; i < count; ++i) {
      const Index r = first + i;
      float* res = residual.col(i).data();
      const auto pass = [&] {
        const float gamma = state.gamma[static_cast<size_t>(state.first_row + r)].value;
        bool changed = false;
        for (Index c = 0; c < columns; ++c) {
          const float before = state.w(r, c);
          const uint8_t code = state.encoder.encode((before + res[c] / h(c, c)) / gamma);
          if (code == state.codes[static_cast<size_t>((state.first_row + r) * columns + c)]) continue;
          state.set(r, c, code);
          add_scaled(res, h.col(c).data(), before - state.w(r, c), columns);
          changed = true;
        }
        return changed;
      };
      for (int sweep = 0; sweep < sweeps; ++sweep) {
        if (pass()) pass();
        RowScale& scale = state.gamma[static_cast<size_t>(state.first_row + r)];
        double wanted_w = 0, w_hw = 0;
        for (Index c = 0; c < columns; ++c) {
          const double w = state.w(r, c);
          wanted_w += static_cast<double>(wanted(c, i)) * w;
          w_hw += static_cast<double>(wanted(c, i) - res[c]) * w;
        }
        if (!(w_hw > 0) || !(wanted_w > 0)) continue;
        const float old = scale.value;
        scale = rounded(static_cast<float>(wanted_w / w_hw) * old);
        const float ratio = scale.value / old;
        for (Index c = 0; c < columns; ++c) {
          res[c] = wanted(c, i) - ratio * (wanted(c, i) - res[c]);
          state.set(r, c, state.codes[static_cast<size_t>((state.first_row + r) * columns + c)]);
        }
      }
      pass();
    }
  });
}

RowMajor as_matrix(std::span<const float> weights, const LayerShape& shape) {
  return Eigen::Map<const RowMajor>(weights.data(), shape.rows, shape.columns);
}

RowMajor decode(const Encoder& encoder, const std::vector<uint8_t>& codes, const std::vector<RowScale>& gamma,
                const LayerShape& shape) {
  RowMajor w(shape.rows, shape.columns);
  for (Index r = 0; r < shape.rows; ++r)
    for (Index c = 0; c < shape.columns; ++c)
      w(r, c) = gamma[static_cast<size_t>(r)].value * encoder.decode(codes[static_cast<size_t>(r * shape.columns + c)]);
  return w;
}

std::vector<uint8_t> nearest_codes(const RowMajor& w, const Encoder& encoder, const std::vector<RowScale>& gamma) {
  std::vector<uint8_t> codes(static_cast<size_t>(w.size()));
  tbb::parallel_for(Index{0}, w.rows(), [&](Index r) {
    for (Index c = 0; c < w.cols(); ++c)
      codes[static_cast<size_t>(r * w.cols() + c)] = encoder.encode(w(r, c) / gamma[static_cast<size_t>(r)].value);
  });
  return codes;
}

void measure_weights(LayerSolution& solution, const RowMajor& original, const RowMajor& quantized) {
  double error = 0, power = 0, absolute = 0, magnitude = 0;
  for (Index r = 0; r < original.rows(); ++r)
    for (Index c = 0; c < original.cols(); ++c) {
      const double w = original(r, c), d = w - static_cast<double>(quantized(r, c));
      error += d * d;
      power += w * w;
      absolute += std::fabs(d);
      magnitude += std::fabs(w);
    }
  solution.weight_relative_error = power > 0 ? error / power : 0;
  solution.weight_rmae = magnitude > 0 ? absolute / magnitude : 0;
}

}  // namespace

std::vector<float> decode_weights(const LayerSolution& solution, int64_t columns) {
  const std::vector<float> levels = level_table(solution.code);
  std::vector<float> weights(solution.codes.size());
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i] = from_float16(solution.gamma[i / static_cast<size_t>(columns)]) * levels[solution.codes[i]];
  return weights;
}

LayerSolution quantize_rows(std::span<const float> weights, const LayerShape& shape, const TensorCode& request,
                            bool per_row, bool uniform) {
  const RowMajor w = as_matrix(weights, shape);
  const RowMajor even = RowMajor::Ones(1, shape.columns);
  const RowFit fit = fit_rows(w, even, shape.rows, request, per_row, uniform);
  const Encoder encoder(fit.code);
  LayerSolution solution;
  solution.code = fit.code;
  solution.uniform_relative_error = fit.uniform_relative_error;
  solution.codes = nearest_codes(w, encoder, fit.gamma);
  for (const RowScale& scale : fit.gamma) solution.gamma.push_back(scale.bits);
  measure_weights(solution, w, decode(encoder, solution.codes, fit.gamma, shape));
  return solution;
}

LayerSolution with_fixed_code(std::span<const float> weights, const LayerShape& shape, const TensorCode& code) {
  const RowMajor w = as_matrix(weights, shape);
  const std::vector<RowScale> gamma(static_cast<size_t>(shape.rows), rounded(1.0F));
  const Encoder encoder(code);
  LayerSolution solution;
  solution.code = code;
  solution.codes = nearest_codes(w, encoder, gamma);
  for (const RowScale& scale : gamma) solution.gamma.push_back(scale.bits);
  measure_weights(solution, w, decode(encoder, solution.codes, gamma, shape));
  solution.uniform_relative_error = fit_uniform(FitData::from_values(weights), code).relative_error;
  return solution;
}

void correct_bias(LayerSolution& solution, const LayerShape& shape, const LayerSamples& samples) {
  const std::vector<float> decoded = decode_weights(solution, shape.columns);
  const RowMajor w = as_matrix(decoded, shape);
  const Index rows = shape.rows / shape.groups;
  solution.bias.assign(static_cast<size_t>(shape.rows), 0.0F);
  double error = 0, power = 0;
  for (Index g = 0; g < shape.groups; ++g) {
    const Moments m = moments_of(samples, shape, g);
    const RowMajor part = w.middleRows(g * rows, rows);
    const VectorXf bias = m.target_mean - part * m.input_mean;
    for (Index r = 0; r < rows; ++r) solution.bias[static_cast<size_t>(g * rows + r)] = bias[r];
    error += output_error(m, part);
    power += static_cast<double>(m.target_power.sum());
  }
  solution.output_relative_error = power > 0 ? error / power : 0;
}

LayerSolution solve_layer(std::span<const float> weights, const LayerShape& shape, const LayerSamples& samples,
                          const TensorCode& request, const SolveOptions& options) {
  const RowMajor original = as_matrix(weights, shape);
  const Index groups = shape.groups, rows = shape.rows / groups, columns = shape.columns;

  std::vector<Moments> moments(static_cast<size_t>(groups));
  RowMajor target(shape.rows, columns);
  RowMajor importance(groups, columns);
  double target_power = 0;
  // Few positions estimate H badly: the ridge grows with inputs per position, or the rounding would fit the sample.
  const double scarcity = static_cast<double>(columns) / effective_positions(samples);
  const double damping = std::min(options.damping + kDampingPerScarcity * scarcity, kMostDamping);
  const auto prepare = [&](Index g) {
    Moments& m = moments[static_cast<size_t>(g)];
    m = moments_of(samples, shape, g);
    const RowMajor w = original.middleRows(g * rows, rows);
    float ridge = static_cast<float>(damping) * m.h.diagonal().mean();
    if (!(ridge > 0)) ridge = 1e-12F;
    MatrixXf damped = m.h;
    damped.diagonal().array() += ridge;
    importance.row(g) = damped.diagonal().transpose();
    if (!options.compensate) {
      target.middleRows(g * rows, rows) = w;
      return;
    }
    const MatrixXf right = (m.g + ridge * w).transpose();
    Eigen::LLT<MatrixXf> factor(damped);
    MatrixXf wanted = factor.solve(right);
    if (factor.info() != Eigen::Success || !wanted.allFinite()) wanted = w.transpose();
    target.middleRows(g * rows, rows) = wanted.transpose();
  };
  if (groups > 1)
    tbb::parallel_for(Index{0}, groups, prepare);
  else
    prepare(0);
  for (const Moments& m : moments) target_power += static_cast<double>(m.target_power.sum());

  RowFit fit = fit_rows(target, importance, rows, request, true, options.uniform);
  const Encoder encoder(fit.code);
  LayerSolution solution;
  solution.code = fit.code;
  solution.uniform_relative_error = fit.uniform_relative_error;

  // Nearest rounding of the weights themselves, for comparison and as the starting point without compensation.
  solution.codes = nearest_codes(original, encoder, fit.gamma);
  RowMajor w = decode(encoder, solution.codes, fit.gamma, shape);
  double nearest_error = 0;
  for (Index g = 0; g < groups; ++g)
    nearest_error += output_error(moments[static_cast<size_t>(g)], w.middleRows(g * rows, rows));

  if (options.compensate) {
    const auto round_group = [&](Index g) {
      const RowMajor group_target = target.middleRows(g * rows, rows);
      RowMajor group_w = group_target;
      RoundingState state{encoder, group_target, group_w, solution.codes, fit.gamma, g * rows};
      MatrixXf damped = moments[static_cast<size_t>(g)].h;
      float ridge = static_cast<float>(damping) * damped.diagonal().mean();
      if (!(ridge > 0)) ridge = 1e-12F;
      damped.diagonal().array() += ridge;
      round_with_compensation(state, damped);
      descend(state, damped, options.sweeps);
      w.middleRows(g * rows, rows) = group_w;
    };
    if (groups > 1)
      tbb::parallel_for(Index{0}, groups, round_group);
    else
      round_group(0);
  }

  double error = 0;
  solution.bias.assign(options.correct_bias ? static_cast<size_t>(shape.rows) : 0, 0.0F);
  for (Index g = 0; g < groups; ++g) {
    const Moments& m = moments[static_cast<size_t>(g)];
    const RowMajor part = w.middleRows(g * rows, rows);
    error += output_error(m, part);
    if (options.correct_bias) {
      const VectorXf bias = m.target_mean - part * m.input_mean;
      for (Index r = 0; r < rows; ++r) solution.bias[static_cast<size_t>(g * rows + r)] = bias[r];
    }
  }
  for (const RowScale& scale : fit.gamma) solution.gamma.push_back(scale.bits);
  solution.output_relative_error = target_power > 0 ? error / target_power : 0;
  solution.nearest_output_relative_error = target_power > 0 ? nearest_error / target_power : 0;
  measure_weights(solution, original, w);
  return solution;
}

}  // namespace dnateq
