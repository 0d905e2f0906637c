#include "kernels/row_functions.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "core/isa.h"

namespace dnateq::kernels {
namespace {

std::vector<std::pair<std::string, const RowFunctions*>> implementations() {
  std::vector<std::pair<std::string, const RowFunctions*>> all{{"in use", &row_functions()}};
  if (cpu().avx2) all.emplace_back("avx2", &row_functions_avx2());
  if (cpu().avx512) all.emplace_back("avx512", &row_functions_avx512());
  return all;
}

// Bits, but that any NaN is as good as another.
void expect_same(const std::vector<float>& got, const std::vector<float>& wanted, const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(wanted[i])) {
      ASSERT_TRUE(std::isnan(got[i])) << what << " " << i;
    } else {
      ASSERT_EQ(std::memcmp(&got[i], &wanted[i], sizeof(float)), 0)
          << what << " " << i << ": " << got[i] << ", not " << wanted[i];
    }
  }
}

struct Rows {
  size_t count, offset;
  std::vector<float> x, other;

  // Exactly the floats that the row needs, so that a sanitizer sees a read past the last.
  Rows(size_t width, size_t from, int kind, unsigned seed)
      : count(width), offset(from), x(from + width), other(from + width) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, kind == 1 ? 30.0F : 1.5F);
    const float special[] = {0.0F, -0.0F, NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-42F, -88.0F, 89.0F};
    for (float& value : x) {
      value = normal(random);
      if (kind == 2) value = 0;
      if (kind == 3 && random() % 4 == 0) value = special[random() % std::size(special)];
    }
    for (float& value : other) value = normal(random);
  }
};

using Function = std::function<void(const RowFunctions&, const Rows&, float* y)>;

std::vector<std::pair<std::string, Function>> functions() {
  std::vector<std::pair<std::string, Function>> all;
  for (const bool with : {false, true}) {
    const std::string name = with ? " with another" : "";
    const auto other = [with](const Rows& r) { return with ? r.other.data() + r.offset : nullptr; };
    const auto norm = [&](RowFunctions::Norm RowFunctions::*f) {
      return [=](const RowFunctions& of, const Rows& r, float* y) {
        (of.*f)(r.x.data() + r.offset, other(r), r.count, 1e-5F, y);
      };
    };
    const auto binary = [&](RowFunctions::Binary RowFunctions::*f) {
      return [=](const RowFunctions& of, const Rows& r, float* y) {
        (of.*f)(r.x.data() + r.offset, other(r), r.count, y);
      };
    };
    all.emplace_back("rms_norm" + name, norm(&RowFunctions::rms_norm));
    all.emplace_back("mean_norm" + name, norm(&RowFunctions::mean_norm));
    all.emplace_back("swish" + name, binary(&RowFunctions::swish));
    all.emplace_back("gelu_erf" + name, binary(&RowFunctions::gelu_erf));
    all.emplace_back("gelu_tanh" + name, binary(&RowFunctions::gelu_tanh));
    if (!with) continue;
    all.emplace_back("add", binary(&RowFunctions::add));
    all.emplace_back("multiply", binary(&RowFunctions::multiply));
  }
  return all;
}

TEST(RowFunctions, EveryInstructionSetGivesTheScalarBits) {
  for (const size_t count : {1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 48, 63, 131, 576})
    for (int kind = 0; kind < 4; ++kind)
      for (size_t offset = 0; offset < 2; ++offset) {
        const Rows rows(count, offset, kind, static_cast<unsigned>(count));
        for (const auto& [name, function] : functions()) {
          std::vector<float> wanted(count), got(count + 1, 7.0F);
          function(row_functions_scalar(), rows, wanted.data());
          for (const auto& [isa, implementation] : implementations()) {
            function(*implementation, rows, got.data());
            EXPECT_EQ(got.back(), 7.0F) << "a write past the end";
            expect_same({got.begin(), got.end() - 1}, wanted,
                        name + ", " + isa + ", " + std::to_string(count) + " values of kind " + std::to_string(kind));
          }
        }
      }
}

TEST(RowFunctions, MayWriteOverWhatTheyRead) {
  for (const auto& [isa, f] : implementations()) {
    const Rows rows(77, 0, 0, 3);
    std::vector<float> wanted(77), x = rows.x, other = rows.other;
    f->mean_norm(rows.x.data(), rows.other.data(), 77, 1e-5F, wanted.data());
    f->mean_norm(x.data(), rows.other.data(), 77, 1e-5F, x.data());
    expect_same(x, wanted, isa);
    f->swish(rows.x.data(), rows.other.data(), 77, wanted.data());
    f->swish(rows.x.data(), other.data(), 77, other.data());
    expect_same(other, wanted, isa);
  }
}

TEST(RowFunctions, AreWhatTheirFormulasSayWithinTheirBounds) {
  std::vector<float> x, y;
  for (float value = -100; value <= 100; value += 0.0137F) x.push_back(value);
  y.resize(x.size());
  const auto check = [&](RowFunctions::Binary function, double (*formula)(double), double relative, double absolute) {
    function(x.data(), nullptr, x.size(), y.data());
    for (size_t i = 0; i < x.size(); ++i) {
      const double wanted = formula(x[i]);
      ASSERT_NEAR(y[i], wanted, relative * std::fabs(wanted) + absolute) << x[i];
    }
  };
  const RowFunctions& f = row_functions_scalar();
  check(
      f.swish, [](double v) { return v / (1 + std::exp(-v)); }, 3e-7, 1e-35);
  check(
      f.gelu_tanh,
      [](double v) { return v / 2 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * (v + 0.044715 * v * v * v))); },
      3e-6, 1e-6);
  check(
      f.gelu_erf, [](double v) { return v / 2 * std::erfc(-v / std::sqrt(2.0)); }, 3e-7, 3e-7);
}

TEST(RowFunctions, NormsLeaveRowsOfLengthOne) {
  const Rows rows(500, 0, 0, 8);
  std::vector<float> y(500);
  for (const bool centres : {false, true}) {
    (centres ? row_functions_scalar().mean_norm : row_functions_scalar().rms_norm)(rows.x.data(), nullptr, 500, 1e-6F,
                                                                                   y.data());
    double sum = 0, squares = 0, mean = 0;
    for (size_t i = 0; i < 500; ++i) sum += y[i], squares += double{y[i]} * y[i], mean += rows.x[i] / 500.0;
    EXPECT_NEAR(squares / 500, 1, 1e-5);
    if (centres) {
      EXPECT_NEAR(sum / 500, 0, 1e-6);
    } else {
      EXPECT_GT(std::fabs(mean), 1e-3) << "else the test says nothing";
      EXPECT_NEAR(y[3] / y[4], rows.x[3] / rows.x[4], 1e-5);
    }
  }
}

}  // namespace
}  // namespace dnateq::kernels
