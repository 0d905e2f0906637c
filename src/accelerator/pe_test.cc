#include "accelerator/pe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "accelerator/test_machine.h"
#include "core/test_error.h"

namespace dnateq::accelerator {
namespace {

using dnateq::testing::error_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

Layer layer_of(int exponent_bits, int64_t inputs = 1000) {
  Layer layer;
  layer.name = "fc";
  layer.inputs = inputs;
  Workload one{.name = "one", .origin = "", .batch = 1, .layers = {layer}};
  set_precision(one, exponent_bits, 0, 0, "test");
  return one.layers[0];
}

TEST(ProcessingElement, HasTheBinsOfItsTerms) {
  const int64_t four[] = {28, 60, 124, 252, 508};
  for (int n = 3; n <= 7; ++n) {
    EXPECT_EQ(bins(Design::kCounting, n, 0), four[n - 3]);
    EXPECT_EQ(bins(Design::kCountingBeta0, n, 0), (2 << n) - 1);
    EXPECT_EQ(bins(Design::kShift, n, 5), 5);
    EXPECT_EQ(bins(Design::kDecode, n, 0), 1);
  }
  EXPECT_EQ(bins(Design::kInt8, 0, 0), 1);
}

TEST(ProcessingElement, FlushesBeforeTheWorstCaseOverflows) {
  EXPECT_EQ(pairs_until_flush(Design::kCounting, 10), 511);
  EXPECT_EQ(pairs_until_flush(Design::kCountingBeta0, 2), 1);
  EXPECT_EQ(pairs_until_flush(Design::kShift, 10), 511);
  EXPECT_EQ(pairs_until_flush(Design::kInt8, 32), 2147483647 / (127 * 127));
  EXPECT_EQ(pairs_until_flush(Design::kInt8, 0), pairs_until_flush(Design::kInt8, 32));

  const Config config = testing::test_config();
  const ProcessingElement pe = processing_element(config, Design::kCounting, layer_of(3));
  EXPECT_EQ(pe.flushes(511), 0);
  EXPECT_EQ(pe.flushes(512), 1);
  EXPECT_EQ(pe.flushes(1022), 1);
  EXPECT_EQ(pe.flushes(1023), 2);
}

TEST(ProcessingElement, TheTablesHorizonComesFirst) {
  Config config = testing::test_config();
  for (Part& part : config.energies.parts) part.horizon = 490;
  EXPECT_EQ(processing_element(config, Design::kCounting, layer_of(3)).flush_after, 490);
  EXPECT_EQ(processing_element(config, Design::kInt8, layer_of(3)).flush_after, 490);
}

TEST(ProcessingElement, TakesTheWiderOperand) {
  Layer layer = layer_of(3);
  layer.activations.exponent_bits = 5;
  EXPECT_EQ(processing_element(testing::test_config(), Design::kCounting, layer).exponent_bits, 5);
}

TEST(ProcessingElement, OfSeveralLanesTakesTheWidestAndThenTheMostFrugal) {
  Config config = testing::test_config();
  const Part lane = config.energies.find("lane", Design::kInt8, 0, "");
  for (const auto& [bits, active, name] :
       {std::tuple(24, 1.0, "narrow"), std::tuple(lane.counter_bits, lane.active_pj * 0.9, "frugal"),
        std::tuple(lane.counter_bits, lane.active_pj * 0.95, "between")}) {
    Part other = lane;
    other.counter_bits = bits;
    other.active_pj = active;
    other.variant = name;
    config.energies.parts.push_back(other);
  }
  EXPECT_EQ(processing_element(config, Design::kInt8, layer_of(3)).lane->variant, "frugal");
}

TEST(ProcessingElement, SharesPostProcessors) {
  Config config = testing::test_config();
  config.array.post_processors = 10;
  config.array.quantizers = 1;
  const ProcessingElement pe = processing_element(config, Design::kCounting, layer_of(3));
  EXPECT_EQ(post_time(config, pe, 25, false), 3 * 28);
  EXPECT_EQ(post_time(config, pe, 25, true), 84);
  EXPECT_EQ(post_time(config, processing_element(config, Design::kDecode, layer_of(3)), 25, true), 25);
}

TEST(ProcessingElement, UnitsSlowerThanTheClockTakeMoreCyclesAStep) {
  Config config = testing::test_config();
  config.array.post_processors = config.array.quantizers = 1;
  const double clock_ns = 1000 / config.array.clock_mhz / config.energies.delay_scale;
  for (Part& part : config.energies.parts) {
    if (part.name == "post") part.period_ns = 1.5 * clock_ns;
    if (part.name == "quantizer") part.period_ns = 2.5 * clock_ns;
  }
  const ProcessingElement pe = processing_element(config, Design::kDecode, layer_of(3));
  EXPECT_EQ(post_time(config, pe, 10, false), 20);
  EXPECT_EQ(post_time(config, pe, 10, true), 30);
}

TEST(ProcessingElement, RefusesWhatItCannotRun) {
  Config config = testing::test_config();
  const auto of = [&](Design design, const Layer& layer) {
    return error_of([&] { processing_element(config, design, layer); });
  };
  Layer wide = layer_of(3);
  wide.activations.exponent_bits = 8;
  EXPECT_THAT(of(Design::kDecode, wide), AllOf(HasSubstr("layer fc"), HasSubstr("activations"), HasSubstr("2 to 7")));
  wide.activations.exponent_bits = 1;
  EXPECT_THAT(of(Design::kCounting, wide), HasSubstr("1 exponent bits"));

  Layer free = layer_of(3);
  free.weights.base = 1.3;
  EXPECT_THAT(of(Design::kShift, free), AllOf(HasSubstr("layer fc"), HasSubstr("2^(1/q)"), HasSubstr("1.3")));
  free.activations.base = 1.3;
  EXPECT_THAT(of(Design::kShift, free), HasSubstr("pow2:q"));

  config.array.flush = false;
  EXPECT_THAT(of(Design::kCounting, layer_of(3)), AllOf(HasSubstr("layer fc"), HasSubstr("1000 pairs"),
                                                        HasSubstr("10-bit"), HasSubstr("array.flush = true")));
  EXPECT_NO_THROW(processing_element(config, Design::kCounting, layer_of(3, 511)));
  config.array.counter_bits = 16;
  EXPECT_NO_THROW(processing_element(config, Design::kCounting, layer_of(3)));
  config.array.counter_bits = 12;
  EXPECT_THAT(of(Design::kCounting, layer_of(3)),
              AllOf(HasSubstr("test table has no lane"), HasSubstr("12-bit counters")));
  config.array.counter_bits = 10;

  config.array.clock_mhz = 5000;
  EXPECT_THAT(of(Design::kInt8, layer_of(3)), AllOf(HasSubstr("test table"), HasSubstr("array.clock_mhz = 5000")));
  config.array.clock_mhz = 500;

  for (Part& part : config.energies.parts) {
    if (part.name == "post" && part.design == "counting") part.cycles = 1;
  }
  EXPECT_THAT(of(Design::kCounting, layer_of(3, 9)), AllOf(HasSubstr("cycles = 1"), HasSubstr("28 values")));
}

}  // namespace
}  // namespace dnateq::accelerator
