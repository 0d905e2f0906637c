#include "search/fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/test_sanitized.h"
#include "search/test_data.h"

namespace dnateq {
namespace {

using testing::laplace_values;
using testing::many_tensors;
using testing::NamedValues;
using testing::normal_values;

TensorCode request_for(int bits, Arithmetic arithmetic, int negatives = -1, Family family = Family::kFree, int q = 0) {
  TensorCode request;
  request.arithmetic = arithmetic;
  request.family = family;
  request.pow2_q = q;
  return with_level_counts(request, bits, negatives);
}

constexpr Arithmetic kBoth[] = {Arithmetic::kExponential, Arithmetic::kInt8Grid};

// Values whose float has nine mantissa bits: FitData pools nothing that differs.
std::vector<float> coarse(std::vector<float> values) {
  for (float& value : values) value = std::bit_cast<float>(std::bit_cast<uint32_t>(value) & 0xffffc000U);
  return values;
}

double brute_force_error(const std::vector<float>& values, const std::vector<float>& weights, const TensorCode& code,
                         bool squared) {
  const Encoder encoder(code);
  double error = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double difference =
        static_cast<double>(values[i]) - static_cast<double>(encoder.decode(encoder.encode(values[i])));
    const double weight = weights.empty() ? 1.0 : static_cast<double>(weights[i]);
    error += weight * (squared ? difference * difference : std::fabs(difference));
  }
  return error;
}

// Least relative error over 1,000 clipping points; level i is (i + 1) steps, which both arithmetics can hold.
double best_uniform_error(const FitData& data, const TensorCode& request) {
  const int count = std::max(request.negative_levels, request.positive_levels);
  const double largest = std::max(data.largest(false), data.largest(true));
  double best = std::numeric_limits<double>::infinity();
  std::vector<double> levels(static_cast<size_t>(count));
  for (int step = 1; step <= 1000; ++step) {
    for (int i = 0; i < count; ++i) levels[static_cast<size_t>(i)] = largest * step / 1000 * (i + 1) / count;
    best = std::min(best, data.squared_error(levels, request));
  }
  return best / data.power();
}

TEST(FitData, SquaredErrorByPrefixSumsIsTheEncodersSummedValueByValue) {
  for (const NamedValues& tensor : many_tensors(2000)) {
    const std::vector<float> values = coarse(tensor.values);
    std::vector<float> weights(values.size());
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 7) * 0.25F;
    for (const bool weighted : {false, true}) {
      const FitData data = weighted ? FitData::from_values(values, weights) : FitData::from_values(values);
      if (!(data.power() > 0)) continue;
      const TensorCode request = request_for(3, Arithmetic::kExponential);
      const TensorCode code = fit_code(data, weighted ? mirrored(request, 3) : request).code;
      const double expected = brute_force_error(values, weighted ? weights : std::vector<float>{}, code, true);
      const std::vector<float> levels = magnitudes(code);
      const std::vector<double> wide(levels.begin(), levels.end());
      SCOPED_TRACE(tensor.name);
      const double slack = 1e-9 * data.power();
      EXPECT_NEAR(data.squared_error(code), expected, slack);
      EXPECT_NEAR(data.squared_error(wide, code), expected, slack);
      EXPECT_NEAR(data.absolute_error(code),
                  brute_force_error(values, weighted ? weights : std::vector<float>{}, code, false),
                  1e-7 * data.magnitude());
    }
  }
}

TEST(FitData, PoolingValuesChangesTheErrorByLessThanOnePercent) {
  const std::vector<float> values = laplace_values(5000, 11);
  const FitData data = FitData::from_values(values);
  for (const int bits : {2, 4, 6}) {
    const TensorCode code = fit_code(data, request_for(bits, Arithmetic::kInt8Grid)).code;
    const double expected = brute_force_error(values, {}, code, true);
    EXPECT_NEAR(data.squared_error(code), expected, 0.01 * expected) << bits;
  }
}

TEST(FitData, HistogramAndValuesGiveTheSameSums) {
  std::vector<float> values = normal_values(20000, 12);
  values.insert(values.end(), 5000, 0.0F);
  Histogram histogram;
  histogram.add(values);
  const FitData exact = FitData::from_values(values), binned = FitData::from_histogram(histogram);
  EXPECT_EQ(exact.weight(), 25000);
  EXPECT_EQ(binned.weight(), 25000);
  EXPECT_NEAR(binned.power(), exact.power(), 1e-3 * exact.power());
  EXPECT_NEAR(binned.magnitude(), exact.magnitude(), 1e-3 * exact.magnitude());
  const TensorCode request = request_for(4, Arithmetic::kInt8Grid);
  EXPECT_NEAR(fit_code(binned, request).relative_error, fit_code(exact, request).relative_error,
              0.01 * fit_code(exact, request).relative_error);
}

TEST(FitData, AssignCountsEveryValueThatIsNotRoundedToZero) {
  const std::vector<float> values = coarse(normal_values(3000, 13));
  const std::vector<double> levels = {0.2, 0.5, 1.0, 1.7};
  std::vector<double> weight(4), sum(4), expected_weight(4), expected_sum(4);
  FitData::from_values(values).assign(levels, with_level_counts({}, 3), weight, sum);
  for (const float value : values) {
    const double x = std::fabs(static_cast<double>(value));
    const int count = value < 0 ? 3 : 4;
    int nearest = -1;
    for (int i = 0; i < count; ++i) {
      const double low = nearest < 0 ? 0.0 : levels[static_cast<size_t>(nearest)];
      if (x >= (low + levels[static_cast<size_t>(i)]) / 2) nearest = i;
    }
    if (nearest < 0) continue;
    expected_weight[static_cast<size_t>(nearest)] += 1;
    expected_sum[static_cast<size_t>(nearest)] += x;
  }
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(weight[i], expected_weight[i]);
    EXPECT_NEAR(sum[i], expected_sum[i], 1e-6);
  }
}

TEST(Fit, IsNeverWorseThanTheBestClippedUniformGridOfAsManyLevels) {
  for (const NamedValues& tensor : many_tensors(testing::kSanitized ? 300 : 1500)) {
    const FitData data = FitData::from_values(tensor.values);
    for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
      for (const Arithmetic arithmetic : kBoth)
        for (const int negatives : {-1, 1}) {
          SCOPED_TRACE(tensor.name + " at " + std::to_string(bits) + " bits, " + to_string(arithmetic) +
                       ", negatives " + std::to_string(negatives));
          const TensorCode request = request_for(bits, arithmetic, negatives);
          const FitResult fit = fit_code(data, request), uniform = fit_uniform(data, request);
          EXPECT_NO_THROW(validate(fit.code, "fit"));
          EXPECT_NO_THROW(validate(uniform.code, "uniform"));
          EXPECT_LE(fit.relative_error, uniform.relative_error);
          // The test searches the clipping point in finer steps than the library; where there are fewer values than
          // levels the error jumps from one step to the next.
          const double slack = data.weight() < 4 << bits || tensor.name == "sparse" ? 1.2 : 1.02;
          EXPECT_LE(fit.relative_error, slack * best_uniform_error(data, request) + 1e-9);
        }
  }
}

TEST(Fit, StatesTheErrorThatItsCodeReallyHas) {
  for (const NamedValues& tensor : many_tensors(1000)) {
    const FitData data = FitData::from_values(tensor.values);
    for (const int bits : {2, 4, 7})
      for (const Arithmetic arithmetic : kBoth)
        for (const TensorCode& request :
             {request_for(bits, arithmetic), mirrored(request_for(bits, arithmetic), bits)}) {
          SCOPED_TRACE(tensor.name + " at " + std::to_string(bits) + " bits, " + to_string(arithmetic));
          const FitResult fit = fit_code(data, request);
          EXPECT_NO_THROW(validate(fit.code, "fit"));
          EXPECT_NEAR(fit.relative_error, data.squared_error(fit.code) / data.power(),
                      1e-3 * fit.relative_error + 1e-9);
        }
  }
}

// The least error of any symmetric code of as many levels for the normal distribution (Max 1960): at 2 bits .1175 of
// the power, at 3 .03454, at 4 .009497.
TEST(Fit, MirroredCodesAreNearTheBestOfAllForNormalValues) {
  const FitData data = FitData::from_values(normal_values(400'000, 21));
  for (const auto& [bits, best] : {std::pair{2, .1175}, {3, .03454}, {4, .009497}}) {
    const TensorCode request = request_for(bits, Arithmetic::kInt8Grid);
    const FitResult mirrored_fit = fit_code(data, mirrored(request, bits));
    EXPECT_LT(mirrored_fit.relative_error, 1.03 * best) << bits;
    EXPECT_GT(mirrored_fit.relative_error, .99 * best) << bits;
    EXPECT_FALSE(has_zero(mirrored_fit.code));
    const FitResult chosen = fit_mirrored_or_not(data, request);
    EXPECT_LE(chosen.relative_error, mirrored_fit.relative_error);
    EXPECT_LE(chosen.relative_error, fit_code(data, request).relative_error);
  }
  std::vector<float> pruned = normal_values(1000, 22);
  for (size_t i = 0; i < pruned.size(); ++i)
    if (i % 3 != 0) pruned[i] = 0;
  const FitResult of_pruned = fit_mirrored_or_not(FitData::from_values(pruned), request_for(3, Arithmetic::kInt8Grid));
  EXPECT_TRUE(has_zero(of_pruned.code)) << "zeros that are many are worth a code";
}

// Whether a power-of-two code of these counts spans fewer octaves than float32 has below the tensor's largest value.
bool fits_float32(const TensorCode& request, double largest) {
  const int steps = std::max(request.negative_levels, request.positive_levels) - 1;
  return request.arithmetic == Arithmetic::kInt8Grid || std::log2(largest) - steps / request.pow2_q > -120;
}

TEST(Fit, FamiliesKeepTheirPromise) {
  for (const NamedValues& tensor : many_tensors(800)) {
    const FitData data = FitData::from_values(tensor.values);
    for (const Arithmetic arithmetic : kBoth)
      for (int bits = kMinStoredBits; bits <= kMaxStoredBits; bits += bits < 5 ? 1 : 3)
        for (const int negatives : {-1, 1}) {
          SCOPED_TRACE(tensor.name + " at " + std::to_string(bits) + " bits, " + to_string(arithmetic) +
                       ", negatives " + std::to_string(negatives));
          const FitResult beta0 = fit_code(data, request_for(bits, arithmetic, negatives, Family::kBeta0));
          EXPECT_EQ(beta0.code.beta, 0.0);
          EXPECT_EQ(beta0.code.family, Family::kBeta0);
          EXPECT_NO_THROW(validate(beta0.code, "beta0"));
          for (const int q : {1, 2, 3, 8}) {
            const TensorCode request = request_for(bits, arithmetic, negatives, Family::kPow2, q);
            if (!fits_float32(request, std::max(data.largest(false), data.largest(true)))) continue;
            const FitResult pow2 = fit_code(data, request);
            EXPECT_EQ(pow2.code.beta, 0.0) << q;
            EXPECT_EQ(pow2.code.base, std::exp2(1.0 / q)) << q;
            EXPECT_NO_THROW(validate(pow2.code, "pow2")) << q;
            if (negatives < 0 || data.largest(false) > 0) {  // one level for all the values may fall off the int8 grid
              EXPECT_LT(pow2.relative_error, 1.0) << q;
            }
          }
        }
  }
}

TEST(Fit, FindsTheCurveThatTheValuesCameFrom) {
  for (const double base : {1.02, 1.3, 1.7}) {
    TensorCode truth = request_for(4, Arithmetic::kExponential);
    truth.base = base;
    truth.alpha = 0.05 / (base - 1);
    truth.beta = 0.02 - truth.alpha + 0.03;
    ASSERT_NO_THROW(validate(truth, "truth"));
    const std::vector<float> levels = level_table(truth);
    std::vector<float> values;
    for (size_t i = 0; i < 4000; ++i) values.push_back(levels[(i * 7) % levels.size()]);
    const FitData data = FitData::from_values(values);
    const FitResult fit = fit_code(data, request_for(4, Arithmetic::kExponential));
    EXPECT_LT(fit.relative_error, 2e-4) << base;
    EXPECT_LE(fit.relative_error, fit_uniform(data, request_for(4, Arithmetic::kExponential)).relative_error) << base;
  }
}

TEST(Fit, DoesNotDependOnTheTensorsUnit) {
  const std::vector<float> values = laplace_values(3000, 22);
  for (const Arithmetic arithmetic : kBoth) {
    const double expected = fit_code(FitData::from_values(values), request_for(4, arithmetic)).relative_error;
    for (const float unit : {1e-20F, 0.125F, 3.0F, 1e20F}) {
      std::vector<float> scaled = values;
      for (float& value : scaled) value *= unit;
      const FitResult fit = fit_code(FitData::from_values(scaled), request_for(4, arithmetic));
      EXPECT_NEAR(fit.relative_error, expected, 0.02 * expected) << unit;
    }
  }
}

TEST(Fit, MoreBitsNeverHurt) {
  for (const NamedValues& tensor : many_tensors(1500)) {
    const FitData data = FitData::from_values(tensor.values);
    double previous = std::numeric_limits<double>::infinity();
    for (int bits = kMinStoredBits; bits <= 7; ++bits) {
      const double error = fit_code(data, request_for(bits, Arithmetic::kExponential)).relative_error;
      EXPECT_LE(error, 1.001 * previous + 1e-9) << tensor.name << " at " << bits << " bits";
      previous = error;
    }
  }
}

TEST(Fit, GivesAValidCodeWhereThereIsNothingToFit) {
  const std::vector<float> zeros(100, 0.0F), negative = {-1.0F, -2.0F};
  for (const FitData& data : {FitData::from_values({}), FitData::from_values(zeros), FitData::from_histogram({}),
                              FitData::from_values(negative)})
    for (const Arithmetic arithmetic : kBoth)
      for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
        for (const int negatives : {-1, 0, 1})
          for (const Family family : {Family::kFree, Family::kSharedBase, Family::kBeta0, Family::kPow2}) {
            if (negatives != 0 && data.largest(true) > 0) continue;  // only negative values, and no negative level
            const TensorCode request =
                request_for(bits, arithmetic, negatives, family, family == Family::kPow2 ? 2 : 0);
            if (family == Family::kPow2 && !fits_float32(request, 1.0)) continue;
            SCOPED_TRACE(std::to_string(bits) + " bits, " + to_string(family) + ", " + to_string(arithmetic));
            EXPECT_NO_THROW(validate(fit_code(data, request).code, "fit"));
            EXPECT_NO_THROW(validate(fit_uniform(data, request).code, "uniform"));
            EXPECT_NO_THROW(validate(fit_paper(data, request).code, "paper"));
          }
}

TEST(Fit, WithBaseKeepsTheBaseAndFitsTheRest) {
  const FitData data = FitData::from_values(normal_values(3000, 23));
  for (const Arithmetic arithmetic : kBoth)
    for (const double base : {1.05, 1.4, 2.0}) {
      const TensorCode request = request_for(4, arithmetic, -1, Family::kSharedBase);
      const FitResult fit = fit_with_base(data, request, base);
      EXPECT_EQ(fit.code.base, base);
      EXPECT_NO_THROW(validate(fit.code, "shared"));
      EXPECT_LT(fit.relative_error, 0.1) << base;
      EXPECT_GE(fit.relative_error, 0.99 * fit_code(data, request).relative_error) << base;
    }
}

TEST(FitPaper, LevelsSpanTheRangeAndTheBaseIsWhereTheErrorStopsFalling) {
  for (const int exponent_bits : {3, 4, 5}) {
    TensorCode request = request_for(exponent_bits + 1, Arithmetic::kExponential, (1 << exponent_bits) - 1);
    request.positive_levels = request.negative_levels;
    const FitData data = FitData::from_values(laplace_values(4000, 24));
    const FitResult fit = fit_paper(data, request);
    EXPECT_EQ(fit.code.rounding, Rounding::kLogarithmic);
    EXPECT_NO_THROW(validate(fit.code, "paper"));
    const double largest = std::max(data.largest(false), data.largest(true));
    EXPECT_NEAR(magnitudes(fit.code).back(), largest, 1e-5 * largest);
    const double steps = (fit.code.base - 1) * 100;
    EXPECT_NEAR(steps, std::round(steps), 1e-9);
    const double error = data.absolute_error(fit.code);
    EXPECT_GE(data.absolute_error(paper_with_base(data, request, fit.code.base + 0.01).code), error);
    if (steps > 1.5) {
      EXPECT_GT(data.absolute_error(paper_with_base(data, request, fit.code.base - 0.01).code), error);
    }
    EXPECT_NEAR(fit.relative_error, data.squared_error(fit.code) / data.power(), 1e-12);
  }
}

TEST(FitActivation, GivesNegativeLevelsByStructureNotByTheData) {
  const std::vector<NamedValues> tensors = many_tensors(2000);
  const auto data_of = [&](const std::string& name) {
    for (const NamedValues& tensor : tensors)
      if (tensor.name == name) return FitData::from_values(tensor.values);
    return FitData();
  };
  TensorCode request;
  for (const int bits : {2, 4, 8}) {
    EXPECT_EQ(fit_activation(data_of("positive"), request, bits, true).code.negative_levels, 0) << bits;
    EXPECT_EQ(fit_activation(data_of("positive"), request, bits, false).code.negative_levels, 1) << bits;
    EXPECT_GE(fit_activation(data_of("normal"), request, bits, false).code.negative_levels, 1) << bits;
  }
  EXPECT_EQ(fit_activation(data_of("normal"), request, 4, false).code.negative_levels, 7);
  const FitResult gelu = fit_activation(data_of("gelu"), request, 4, false);
  EXPECT_LE(gelu.code.negative_levels, 3);
  EXPECT_LT(gelu.relative_error, 0.5 * fit_code(data_of("gelu"), with_level_counts(request, 4)).relative_error);
}

TEST(FitActivation, IsNeverWorseThanTheSymmetricSplit) {
  for (const NamedValues& tensor : many_tensors(1000)) {
    const FitData data = FitData::from_values(tensor.values);
    if (!(data.largest(true) > 0)) continue;
    for (const int bits : {2, 3, 5}) {
      const FitResult fit = fit_activation(data, TensorCode{}, bits, false);
      EXPECT_NO_THROW(validate(fit.code, tensor.name));
      EXPECT_LE(fit.relative_error, fit_code(data, with_level_counts(TensorCode{}, bits)).relative_error)
          << tensor.name;
    }
  }
}

TEST(Sqnr, IsTenDecibelsADecadeAndEndsAt120) {
  EXPECT_DOUBLE_EQ(sqnr_db(0.1), 10.0);
  EXPECT_DOUBLE_EQ(sqnr_db(1.0), 0.0);
  EXPECT_DOUBLE_EQ(sqnr_db(0.0), 120.0);
}

}  // namespace
}  // namespace dnateq
