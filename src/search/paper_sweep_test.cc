#include "search/paper_sweep.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "search/test_data.h"

namespace dnateq {
namespace {

// A layer whose RMAE is `weights` at 3 exponent bits and halves with each further one; `activations` alike.
PaperLayer layer_of(double weights, double activations) {
  PaperLayer layer;
  for (int n = kPaperFewestBits; n <= kPaperMostBits; ++n) {
    PaperChoice& choice = layer.by_exponent_bits[static_cast<size_t>(n)];
    choice.weights.stored_bits = n + 1;
    choice.weight_rmae = weights;
    choice.activation_rmae = activations;
    choice.activations.emplace().stored_bits = n + 1;
    weights /= 2;
    activations /= 2;
  }
  return layer;
}

class PaperSweep : public ::testing::Test {
 protected:
  // Bits: the sum over layers. Loss: what a missing bit costs, doubling with each.
  static double bits_of(const PaperPlan& plan) { return std::accumulate(plan.begin(), plan.end(), 0.0); }
  static double loss_of(const PaperPlan& plan) {
    double loss = 0;
    for (const int n : plan) loss += 0.01 * static_cast<double>(1 << (kPaperMostBits - n));
    return loss;
  }
  PaperJudge judge() {
    PaperJudge judge;
    judge.bits = bits_of;
    judge.loss = [this](const PaperPlan& plan, const PaperThresholds& first) {
      EXPECT_EQ(paper_plan(layers_, first), plan);
      EXPECT_TRUE(asked_.insert(plan).second) << "a plan was judged twice";
      order_.push_back(plan);
      return loss_of(plan);
    };
    return judge;
  }

  const std::vector<PaperLayer> layers_ = {layer_of(0.16, 0.2), layer_of(0.25, 0.04), layer_of(0.1, 0.31)};
  std::set<PaperPlan> asked_;
  std::vector<PaperPlan> order_;
};

TEST_F(PaperSweep, APlanHasTheBitsThatEachLayerIsGivenAlone) {
  const PaperThresholds thresholds{0.09, 0.06};
  PaperPlan expected;
  for (const PaperLayer& layer : layers_)
    expected.push_back(choose_paper(layer, thresholds.weights, thresholds.activations).weights.stored_bits - 1);
  EXPECT_EQ(paper_plan(layers_, thresholds), expected);
  EXPECT_EQ(expected, (PaperPlan{5, 5, 6}));  // .2 / 4 <= .06; .25 / 4 <= .09; .31 / 8 <= .06
}

TEST_F(PaperSweep, TheTightestThresholdWithinTheBitsIsFound) {
  const PaperJudge judge = this->judge();
  for (const double target : {9.0, 12.0, 15.0, 18.0, 21.0}) {
    const PaperPair found = tightest_within_bits(layers_, target, judge);
    EXPECT_LE(bits_of(found.plan), target + (target < 10 ? 3 : 0));  // the loosest threshold has what it has
    for (const double threshold : paper_thresholds())
      if (threshold < found.thresholds.weights) {
        EXPECT_GT(bits_of(paper_plan(layers_, {threshold, threshold})), target);
      }
  }
  EXPECT_TRUE(asked_.empty());  // bits are told without judging anything
}

TEST_F(PaperSweep, TheGridHasThePlanOfEveryPairAndEachDistinctOneOnce) {
  const std::vector<double> thresholds = paper_grid_thresholds();
  ASSERT_EQ(thresholds.size(), 8U);
  EXPECT_TRUE(std::is_sorted(thresholds.rbegin(), thresholds.rend()));
  const PaperGrid grid = paper_grid(layers_, thresholds, {0.2, 0.1, 0.05});
  ASSERT_EQ(grid.cells.size(), 24U);
  for (size_t cell = 0; cell < grid.cells.size(); ++cell) {
    EXPECT_EQ(grid.thresholds(cell).weights, thresholds[cell / 3]);
    EXPECT_EQ(grid.thresholds(cell).activations, grid.activation_thresholds[cell % 3]);
    EXPECT_EQ(grid.plans[grid.cells[cell]], paper_plan(layers_, grid.thresholds(cell)));
  }
  EXPECT_EQ(std::set<PaperPlan>(grid.plans.begin(), grid.plans.end()).size(), grid.plans.size());
  EXPECT_LT(grid.plans.size(), grid.cells.size());
}

TEST_F(PaperSweep, TheFrontRisesInBitsAndFallsInError) {
  const PaperJudge judge = this->judge();
  const std::vector<PaperFrontPoint> front = paper_front(layers_, judge);
  ASSERT_GT(front.size(), 5U);
  for (size_t i = 0; i < front.size(); ++i) {
    EXPECT_EQ(front[i].pair.plan, paper_plan(layers_, front[i].pair.thresholds));
    EXPECT_EQ(front[i].bits, bits_of(front[i].pair.plan));
    if (i == 0) continue;
    EXPECT_GT(front[i].bits, front[i - 1].bits);
    EXPECT_LT(front[i].error, front[i - 1].error);
  }
  EXPECT_TRUE(asked_.empty());  // nothing was judged
  // No pair's plan is better in both than the front.
  for (const double w : paper_thresholds())
    for (const double a : paper_thresholds()) {
      const double bits = bits_of(paper_plan(layers_, {w, a}));
      EXPECT_TRUE(std::any_of(front.begin(), front.end(), [&](const PaperFrontPoint& p) { return p.bits <= bits; }));
    }
  EXPECT_EQ(front.front().bits, bits_of(paper_plan(layers_, {0.3, 0.3})));
  const double tightest = paper_thresholds().back();
  EXPECT_EQ(front.back().bits, bits_of(paper_plan(layers_, {tightest, tightest})));
}

TEST_F(PaperSweep, AThresholdThatWasTakenIsOfTheGrid) {
  const std::vector<double> plain = paper_grid_thresholds();
  for (const double chosen : {1.0, 0.1, 0.0001}) {
    const std::vector<double> with = paper_grid_thresholds(chosen);
    EXPECT_EQ(with.size(), plain.size() + 1);
    EXPECT_EQ(std::count(with.begin(), with.end(), chosen), 1);
    EXPECT_TRUE(std::is_sorted(with.rbegin(), with.rend()));
  }
  EXPECT_EQ(paper_grid_thresholds(plain[3]), plain);
}

TEST_F(PaperSweep, StricterThresholdsOfTheGridNeverHaveFewerBits) {
  const PaperGrid grid = paper_grid(layers_, paper_grid_thresholds(), paper_grid_thresholds());
  const auto bits = [&](size_t w, size_t a) { return bits_of(grid.plans[grid.cells[w * grid.columns() + a]]); };
  for (size_t w = 0; w < 8; ++w)
    for (size_t a = 0; a + 1 < 8; ++a) {
      EXPECT_LE(bits(w, a), bits(w, a + 1));
      EXPECT_LE(bits(a, w), bits(a + 1, w));
    }
}

TEST_F(PaperSweep, TheGridIsJudgedEvenlyWithinItsBudget) {
  const PaperGrid grid = paper_grid(layers_, paper_grid_thresholds(), paper_grid_thresholds());
  ASSERT_GT(grid.plans.size(), 6U);
  const PaperJudge judge = this->judge();
  PaperLosses losses(judge);
  judge_grid(grid, 2, judge, losses);
  EXPECT_EQ(losses.size(), 2U);
  EXPECT_EQ(order_[0], grid.plans[grid.cells.front()]);  // nothing is known: the loosest pair
  EXPECT_EQ(order_[1], grid.plans[grid.cells.back()]);   // the farthest from it: the tightest
  judge_grid(grid, 0, judge, losses);
  EXPECT_EQ(losses.size(), 2U);
  judge_grid(grid, 1000, judge, losses);  // judged ones are not asked for again
  EXPECT_EQ(losses.size(), grid.plans.size());
  for (const PaperPlan& plan : grid.plans) EXPECT_EQ(losses.known(plan), loss_of(plan));
}

TEST_F(PaperSweep, NoFurtherPlanIsJudgedOnceTheTimeIsOver) {
  const PaperGrid grid = paper_grid(layers_, paper_grid_thresholds(), paper_grid_thresholds());
  PaperJudge judge = this->judge();
  judge.out_of_time = [this] { return asked_.size() == 3; };
  PaperLosses losses(judge);
  judge_grid(grid, 1000, judge, losses);
  EXPECT_EQ(losses.size(), 3U);
  EXPECT_EQ(losses.known(grid.plans.back()).has_value(), asked_.contains(grid.plans.back()));
}

TEST_F(PaperSweep, RealTensorsFillTheGridToo) {
  const FitData weights = FitData::from_values(testing::normal_values(3000, 41, 0.05F));
  const FitData activations = FitData::from_values(testing::laplace_values(3000, 42));
  const std::vector<PaperLayer> layers = {fit_paper_layer(weights, &activations, false),
                                          fit_paper_layer(weights, nullptr, false)};
  const PaperGrid grid = paper_grid(layers, paper_grid_thresholds(), paper_grid_thresholds());
  for (const PaperPlan& plan : grid.plans)
    for (const int n : plan) {
      EXPECT_GE(n, kPaperFewestBits);
      EXPECT_LE(n, kPaperMostBits);
    }
  EXPECT_GT(grid.plans.size(), 3U);
}

}  // namespace
}  // namespace dnateq
