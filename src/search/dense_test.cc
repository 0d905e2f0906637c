#include "search/dense.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <Eigen/Cholesky>
#include <cmath>
#include <vector>

#include "search/test_data.h"

namespace dnateq {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::MatrixXf;

MatrixXf random_matrix(Index rows, Index columns, unsigned seed) {
  const std::vector<float> values = testing::normal_values(static_cast<size_t>(rows * columns), seed);
  return Eigen::Map<const MatrixXf>(values.data(), rows, columns);
}

TEST(LaneKernels, TheLastOneRunsEverywhere) {
  ASSERT_FALSE(lane_kernels().empty());
  EXPECT_STREQ(lane_kernels().back().name, "sse2");
}

TEST(LaneKernels, AddTheSumsOfTheDefinition) {
  for (const LaneKernel& kernel : lane_kernels())
    for (const Index rows : {1, 2, 3, 4, 5, 11, 12, 13, 24, 31})
      for (const Index depth : {0, 1, 7, 24, 301})
        for (const bool by_rows : {false, true}) {
          SCOPED_TRACE(std::string(kernel.name) + ", " + std::to_string(rows) + " x " + std::to_string(depth));
          const Index stride = (by_rows ? depth : rows) + 3, row_step = by_rows ? stride : 1;
          const Index column_step = by_rows ? 1 : stride;
          const std::vector<float> a = testing::normal_values(static_cast<size_t>(stride * (rows + depth + 1)), 1);
          const MatrixXf lanes = random_matrix(kLanes, rows + depth, 2);
          std::vector<Lane> u(static_cast<size_t>(depth)), c(static_cast<size_t>(rows) + 1, Lane{});
          for (Index k = 0; k < depth; ++k)
            for (Index l = 0; l < kLanes; ++l) u[static_cast<size_t>(k)].at[l] = lanes(l, k);
          for (Index i = 0; i < rows; ++i)
            for (Index l = 0; l < kLanes; ++l) c[static_cast<size_t>(i)].at[l] = lanes(l, depth + i);
          kernel.add_product(a.data(), row_step, column_step, rows, depth, u.data(), c.data());
          for (Index i = 0; i < rows; ++i)
            for (Index l = 0; l < kLanes; ++l) {
              double sum = static_cast<double>(lanes(l, depth + i)), scale = 1;
              for (Index k = 0; k < depth; ++k) {
                const double term = static_cast<double>(a[static_cast<size_t>(i * row_step + k * column_step)]) *
                                    static_cast<double>(lanes(l, k));
                sum += term;
                scale += std::fabs(term);
              }
              ASSERT_NEAR(c[static_cast<size_t>(i)].at[l], sum, 1e-6 * scale);
            }
          for (const float beyond : c.back().at) ASSERT_EQ(beyond, 0.0F);
        }
}

TEST(Multiply, AgreesWithDoublePrecision) {
  for (const ProductShape& shape : {ProductShape{1, 1, 1}, {5, 3, 0}, {13, 17, 600}, {97, 200, 31}, {301, 99, 257}}) {
    SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.columns) + " x " +
                 std::to_string(shape.depth));
    const MatrixXf a = random_matrix(shape.depth, shape.rows, 3), b = random_matrix(shape.columns, shape.depth, 4);
    const MatrixXf before = random_matrix(shape.rows + 2, shape.columns, 5);
    const MatrixXd product = (b.cast<double>() * a.cast<double>()).transpose();
    const StridedView left{a.data(), shape.depth, 1}, right{b.data(), shape.columns, 1};
    for (const float addend : {0.0F, 1.0F, -2.0F}) {
      MatrixXf out = before;
      multiply(shape, left, right, 0.5F, addend, out.data(), out.outerStride());
      const MatrixXd expected = 0.5 * product + static_cast<double>(addend) * before.topRows(shape.rows).cast<double>();
      EXPECT_LT((out.topRows(shape.rows).cast<double>() - expected).cwiseAbs().maxCoeff(), 1e-4);
      EXPECT_EQ(out.bottomRows(2), before.bottomRows(2));
    }
  }
}

TEST(Multiply, OverwritesWhatIsNotANumber) {
  const MatrixXf a = random_matrix(4, 4, 6);
  MatrixXf out = MatrixXf::Constant(4, 4, std::nanf(""));
  multiply({4, 4, 4}, {a.data(), 1, 4}, {a.data(), 1, 4}, 1.0F, 0.0F, out.data(), 4);
  EXPECT_TRUE(out.allFinite());
}

TEST(Multiply, TheLowerPartMirroredIsTheSymmetricProduct) {
  for (const Index size : {1, 63, 64, 65, 300}) {
    const MatrixXf x = random_matrix(50, size, 7);
    MatrixXf out(padded_stride(size), size);
    multiply({size, size, 50}, {x.data(), 50, 1}, {x.data(), 1, 50}, 1.0F, 0.0F, out.data(), out.outerStride(),
             Part::kLower);
    mirror_lower(out, size);
    EXPECT_LT((out.topRows(size) - x.transpose() * x).cwiseAbs().maxCoeff(), 1e-4F) << size;
    EXPECT_EQ(out.topRows(size), MatrixXf(out.topRows(size).transpose())) << size;
  }
}

TEST(Multiply, GivesTheSameBytesWithAnyNumberOfThreads) {
  const MatrixXf a = random_matrix(700, 400, 8);
  std::vector<MatrixXf> products;
  for (const size_t threads : {1U, 2U, 4U}) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    MatrixXf out(400, 400);
    multiply({400, 400, 700}, {a.data(), 700, 1}, {a.data(), 1, 700}, 1.0F, 0.0F, out.data(), 400);
    products.push_back(out);
  }
  EXPECT_EQ(products[0], products[1]);
  EXPECT_EQ(products[0], products[2]);
}

TEST(FactorCholesky, TimesItsTransposeIsTheMatrix) {
  for (const Index size : {1, 2, 95, 96, 97, 350}) {
    const MatrixXf x = random_matrix(2 * size, size, 9);
    const MatrixXf a = x.transpose() * x / static_cast<float>(size);
    MatrixXf l = MatrixXf::Zero(padded_stride(size), size);
    l.topRows(size) = a;
    ASSERT_TRUE(factor_cholesky(l, size)) << size;
    const MatrixXf lower = l.topRows(size).triangularView<Eigen::Lower>();
    EXPECT_LT((lower * lower.transpose() - a).cwiseAbs().maxCoeff(), 1e-4F) << size;
  }
}

TEST(FactorCholesky, SaysSoWhereTheMatrixIsNotPositiveDefinite) {
  for (const Index bad : {0, 100, 249}) {
    MatrixXf a = MatrixXf::Identity(250, 250);
    a(bad, bad) = -1;
    EXPECT_FALSE(factor_cholesky(a, 250)) << bad;
  }
}

TEST(PaddedStride, IsAnOddNumberOfCacheLines) {
  for (const Index rows : {1, 15, 16, 17, 32, 4096, 9216}) {
    EXPECT_GE(padded_stride(rows), rows);
    EXPECT_EQ(padded_stride(rows) % 32, 16);
  }
}

}  // namespace
}  // namespace dnateq
