#include "search/objective.h"

#include <utility>

#include "core/pack.h"

namespace dnateq {

using Eigen::Index;
using Eigen::MatrixXf;
using Eigen::VectorXf;

namespace {

constexpr float kSmallestFloat16 = 6.0e-8F, kLargestFloat16 = 65504.0F;

// c.x and c.y are the samples as they came.
void centre(CentredSamples& c, const VectorXf& weights, float unit) {
  if (unit != 1) c.y *= unit;
  const auto count = static_cast<float>(c.x.rows());
  VectorXf importance = weights;
  if (importance.size() == 0) importance = VectorXf::Ones(c.x.rows());
  const float total = importance.sum();
  c.input_mean = c.x.transpose() * importance / total;
  if (c.y.cols() > 0) c.target_mean = c.y.transpose() * importance / total;
  c.x.rowwise() -= c.input_mean.transpose();
  if (c.y.cols() > 0) c.y.rowwise() -= c.target_mean.transpose();
  if (weights.size() != 0) {
    const VectorXf root = (importance * (count / total)).cwiseSqrt();
    c.x.array().colwise() *= root.array();
    if (c.y.cols() > 0) c.y.array().colwise() *= root.array();
  }
  for (Index r = 0; r < c.y.cols(); ++r) c.target_power += static_cast<double>(c.y.col(r).squaredNorm() / count);
}

}  // namespace

RowScale rounded_scale(float gamma) {
  RowScale scale;
  scale.bits = to_float16(gamma);
  scale.value = from_float16(scale.bits);
  if (scale.value == 0 || !std::isfinite(scale.value)) {  // beyond float16: the nearest usable scale
    scale.value = std::copysign(std::fabs(gamma) < 1 ? kSmallestFloat16 : kLargestFloat16, gamma);
    scale.bits = to_float16(scale.value);
    scale.value = from_float16(scale.bits);
  }
  return scale;
}

CentredSamples centred(const LayerSamples& samples, const LayerShape& shape, Index group, float unit) {
  const Index columns = shape.columns, rows = shape.rows / shape.groups;
  CentredSamples c;
  c.x = samples.inputs.middleCols(group * columns, columns);
  if (samples.targets.cols() > 0) c.y = samples.targets.middleCols(group * rows, rows);
  centre(c, samples.weights, unit);
  return c;
}

CentredSamples centred(LayerSamples&& samples, float unit) {
  CentredSamples c;
  c.x = std::move(samples.inputs);
  c.y = std::move(samples.targets);
  centre(c, samples.weights, unit);
  return c;
}

std::unique_ptr<Objective> make_objective(CentredSamples&& samples, const ConstRows& weights,
                                          const Eigen::Ref<RowMajor>& target, const ObjectiveOptions& options) {
  const bool few = samples.y.cols() > 0 && 3 * samples.x.rows() < samples.x.cols();
  return (few ? objective_of_samples : objective_of_moments)(std::move(samples), weights, target, options);
}

}  // namespace dnateq
