// What one group of a layer's rows is chosen to minimise, over the sampled positions,
//
//   E |y - W x|^2 + ridge |W - W0|^2,   x and y centred and weighted, W0 the weights as they came,
//
// its minimiser W* (the target), and the rounding of W* to codes. There are two forms of the same mathematics:
//
//   moments   H = E[x x^T] + ridge I and E[y x^T] + ridge W0. About 5 K^2 multiply-adds a row for K columns, however
//   many
//             positions there are; two K x K matrices.
//   samples   x and y themselves, in units in which ridge is 1. About 20 n K multiply-adds a row for n positions, no
//             K x K matrix: for layers with several inputs per position (fully connected layers, few images).
//
// Rows are taken 16 at a time, side by side (see dense.h). Source: ours; the form over samples is the matrix inversion
// lemma, (X^T X + I)^-1 X^T = X^T (X X^T + I)^-1, applied column by column.
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <memory>
#include <span>

#include "search/solve.h"

namespace dnateq {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstRows = Eigen::Ref<const RowMajor>;

struct RowScale {
  float value = 1;    // finite and not 0
  uint16_t bits = 0;  // float16
};
RowScale rounded_scale(float gamma);

// The codes and scales of one group's rows.
struct GroupCodes {
  const Encoder& encoder;
  std::span<uint8_t> codes;    // rows x columns
  std::span<RowScale> scales;  // a row
};

// One group's samples: means taken out, rows multiplied by the square root of their importance (1 on average).
struct CentredSamples {
  Eigen::MatrixXf x, y;  // positions x columns, positions x rows
  Eigen::VectorXf input_mean, target_mean;
  double target_power = 0;  // sum over rows of E[y^2]
};
// Targets are multiplied by `unit` first: the weights are in units of its inverse.
CentredSamples centred(const LayerSamples& samples, const LayerShape& shape, Eigen::Index group, float unit = 1);
// The same of a layer of one group, in the samples' own memory.
CentredSamples centred(LayerSamples&& samples, float unit = 1);

struct ObjectiveOptions {
  double damping = 0.02;   // ridge relative to the mean of E[x^2] over the columns
  bool compensate = true;  // false: the target is W0 itself, and `round` must not be called
};

class Objective {
 public:
  virtual ~Objective() = default;
  // Of E[x x^T] + ridge I.
  virtual Eigen::VectorXf diagonal() const = 0;
  // Sum over rows of E |y - w^ x|^2, the bias (the means) taken out.
  virtual double error(const GroupCodes& codes) const = 0;
  // Error-compensating rounding of the target in the order of descending diagonal, then `sweeps` times two passes of
  // coordinate descent and a refit of the scales, and a last pass. Returns `error` of the result.
  virtual double round(const GroupCodes& codes, int sweeps) const = 0;

  Eigen::VectorXf input_mean, target_mean;
  double target_power = 0;
};

// `weights` are W0; `target` receives W*. The objective refers to both as long as it lives.
std::unique_ptr<Objective> objective_of_moments(CentredSamples&& samples, const ConstRows& weights,
                                                const Eigen::Ref<RowMajor>& target, const ObjectiveOptions& options);
std::unique_ptr<Objective> objective_of_samples(CentredSamples&& samples, const ConstRows& weights,
                                                const Eigen::Ref<RowMajor>& target, const ObjectiveOptions& options);
// The faster of the two.
std::unique_ptr<Objective> make_objective(CentredSamples&& samples, const ConstRows& weights,
                                          const Eigen::Ref<RowMajor>& target, const ObjectiveOptions& options);

}  // namespace dnateq
