#include "search/objective.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <Eigen/Cholesky>
#include <array>
#include <vector>

#include "search/test_data.h"

namespace dnateq {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::MatrixXf;
using testing::normal_values;

using Form = std::unique_ptr<Objective> (*)(CentredSamples&&, const ConstRows&, const Eigen::Ref<RowMajor>&,
                                            const ObjectiveOptions&);
constexpr Form kForms[] = {objective_of_moments, objective_of_samples};

struct Problem {
  LayerShape shape;
  LayerSamples samples;
  RowMajor weights;
};

// Columns of different power, so that their order is not that of memory.
Problem make_problem(Index rows, Index columns, Index positions) {
  const auto values = [](Index a, Index b, unsigned seed) {
    const std::vector<float> v = normal_values(static_cast<size_t>(a * b), seed);
    return MatrixXf(Eigen::Map<const MatrixXf>(v.data(), a, b));
  };
  Problem p;
  p.shape = {rows, columns, 1};
  p.weights = 0.1F * values(rows, columns, 1);
  p.samples.inputs =
      values(positions, columns, 2) * (values(columns, 1, 3).cwiseAbs().array() + 0.2F).matrix().asDiagonal();
  p.samples.inputs += values(positions, 3, 4) * values(3, columns, 5);
  p.samples.targets = p.samples.inputs * p.weights.transpose() + 0.3F * values(positions, rows, 6);
  p.samples.weights = values(positions, 1, 7).cwiseAbs();
  return p;
}

struct Rounded {
  RowMajor target;
  std::vector<uint8_t> codes;
  std::vector<RowScale> scales;
  double nearest_error = 0, stated_error = 0, error = 0;
};

Rounded round_with(Form form, const Problem& p, const Encoder& encoder, double damping = 0.5) {
  Rounded r;
  r.target.resize(p.weights.rows(), p.weights.cols());
  const auto objective = form(centred(p.samples, p.shape, 0), p.weights, r.target, {.damping = damping});
  r.codes.resize(static_cast<size_t>(p.weights.size()));
  r.scales.assign(static_cast<size_t>(p.weights.rows()), rounded_scale(0.01F));
  for (size_t i = 0; i < r.codes.size(); ++i) r.codes[i] = encoder.encode(p.weights.data()[i] / r.scales[0].value);
  const GroupCodes codes{encoder, r.codes, r.scales};
  r.nearest_error = objective->error(codes);
  r.stated_error = objective->round(codes, 2);
  r.error = objective->error(codes);
  return r;
}

Encoder integers(int limit) {
  TensorCode code;
  code.base = 1 + 1e-6;
  code.alpha = 1e6;
  code.beta = 1 - 1e6;
  code.negative_levels = code.positive_levels = limit;
  code.stored_bits = 6;
  code.grid = 0;
  code.arithmetic = Arithmetic::kExponential;
  return Encoder(code);
}

TEST(Objective, TheTargetIsTheMinimiser) {
  for (const auto& [rows, columns, positions] : {std::array<Index, 3>{3, 7, 40}, {17, 61, 20}, {40, 130, 33}}) {
    const Problem p = make_problem(rows, columns, positions);
    const CentredSamples c = centred(p.samples, p.shape, 0);
    MatrixXd h = (c.x.transpose() * c.x).cast<double>() / static_cast<double>(positions);
    const double ridge = 0.5 * h.diagonal().mean();
    h.diagonal().array() += ridge;
    const MatrixXd right =
        (c.y.transpose() * c.x).cast<double>() / static_cast<double>(positions) + ridge * p.weights.cast<double>();
    const MatrixXd expected = h.llt().solve(right.transpose()).transpose();
    for (const Form form : kForms) {
      RowMajor target(rows, columns);
      const auto objective = form(centred(p.samples, p.shape, 0), p.weights, target, {.damping = 0.5});
      EXPECT_LT((target.cast<double>() - expected).cwiseAbs().maxCoeff(), 1e-4);
      EXPECT_LT((objective->diagonal().cast<double>() - h.diagonal()).cwiseAbs().maxCoeff(), 1e-3);
    }
  }
}

TEST(Objective, BothFormsRoundAlikeAndLeaveTheErrorThatTheyState) {
  const Encoder encoder = integers(15);
  for (const auto& [rows, columns, positions] :
       {std::array<Index, 3>{1, 3, 9}, {3, 7, 40}, {17, 61, 20}, {16, 24, 1}, {70, 130, 33}, {300, 97, 50}}) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns) + " x " + std::to_string(positions));
    const Problem p = make_problem(rows, columns, positions);
    const Rounded a = round_with(objective_of_moments, p, encoder), b = round_with(objective_of_samples, p, encoder);
    EXPECT_NEAR(a.nearest_error, b.nearest_error, 1e-3 * a.nearest_error);
    EXPECT_NEAR(a.stated_error, a.error, 1e-3 * a.error + 1e-6);
    EXPECT_NEAR(b.stated_error, b.error, 1e-3 * b.error + 1e-6);
    EXPECT_LT(b.error, b.nearest_error);
    EXPECT_NEAR(a.error, b.error, 0.05 * a.error);  // they descend in different orders
  }
}

TEST(Objective, WithoutCompensationTheTargetIsTheWeights) {
  const Problem p = make_problem(20, 50, 30);
  for (const Form form : kForms) {
    RowMajor target(20, 50);
    const auto objective = form(centred(p.samples, p.shape, 0), p.weights, target, {.compensate = false});
    EXPECT_EQ(target, p.weights);
  }
}

TEST(Objective, GivesTheSameBytesWithAnyNumberOfThreads) {
  const Problem p = make_problem(300, 97, 50);
  const Encoder encoder = integers(15);
  for (const Form form : kForms) {
    std::vector<Rounded> all;
    for (const size_t threads : {1U, 2U, 4U}) {
      const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
      all.push_back(round_with(form, p, encoder));
    }
    for (const Rounded& r : all) {
      EXPECT_EQ(r.target, all[0].target);
      EXPECT_EQ(r.codes, all[0].codes);
      EXPECT_EQ(r.error, all[0].error);
      EXPECT_EQ(r.nearest_error, all[0].nearest_error);
    }
  }
}

}  // namespace
}  // namespace dnateq
