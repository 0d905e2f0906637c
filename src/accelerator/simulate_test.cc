#include "accelerator/simulate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "accelerator/precision.h"
#include "accelerator/test_machine.h"
#include "core/test_error.h"
#include "core/test_sanitized.h"

namespace dnateq::accelerator {
namespace {

using dnateq::testing::error_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

Layer matmul(int64_t rows, int64_t inputs, int64_t outputs, int64_t groups = 1) {
  Layer layer;
  layer.name = "matmul";
  layer.groups = groups;
  layer.rows = rows;
  layer.inputs = inputs;
  layer.outputs = outputs;
  layer.input_elements = groups * rows * inputs;
  layer.weight_elements = groups * inputs * outputs;
  layer.output_elements = groups * rows * outputs;
  return layer;
}

// `channels` per group; square images, kernels and strides.
Layer convolution(int64_t size, int64_t channels, int64_t outputs, int64_t kernel, int64_t stride, int64_t padding,
                  int64_t groups = 1) {
  const int64_t out = (size + 2 * padding - kernel) / stride + 1;
  Layer layer = matmul(out * out, channels * kernel * kernel, outputs, groups);
  layer.name = "convolution";
  layer.kind = LayerKind::kConvolution;
  const int64_t read = kernel < stride ? out * kernel : std::min(size, (out - 1) * stride + kernel);
  layer.input_elements = groups * channels * read * read;
  layer.geometry = {size, size, out, out, kernel, kernel, stride, stride};
  return layer;
}

Workload workload_of(std::vector<Layer> layers, int exponent_bits = 4) {
  Workload workload{.name = "test", .origin = "test", .batch = 1, .layers = std::move(layers)};
  set_precision(workload, exponent_bits, 0.1, 0.4, "test");
  return workload;
}

// Every kind of layer, of random sizes.
Layer random_layer(std::mt19937_64& random) {
  const auto between = [&](int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(random);
  };
  switch (between(0, 4)) {
    case 0:
      return matmul(between(1, 300), between(1, 3000), between(1, 1500));
    case 1:
      return matmul(1, between(1, 6000), between(1, 6000));  // a matrix times a vector
    case 2: {
      const int64_t kernel = 2 * between(0, 3) + 1;
      return convolution(between(kernel, 60), between(1, 200), between(1, 300), kernel, between(1, 2), kernel / 2);
    }
    case 3:
      return convolution(between(3, 40), 1, 1, 3, between(1, 2), 1, between(2, 200));  // depthwise
    default: {
      Layer product = matmul(between(1, 60), between(1, 128), between(1, 60), between(1, 32));
      product.weights_are_activations = true;
      return product;
    }
  }
}

double energy_of(const DesignResult& result) { return total(result.energy_pj()); }

TEST(Simulate, RunsAMatmulOnTheBaseline) {
  const DesignResult result = simulate(workload_of({matmul(64, 512, 512)}), testing::test_config(), Design::kInt8);
  ASSERT_EQ(result.layers.size(), 1u);
  const LayerResult& layer = result.layers[0];
  EXPECT_EQ(layer.macs, 64 * 512 * 512);
  EXPECT_EQ(result.peak_macs_per_cycle, 16 * 256);
  EXPECT_EQ(layer.bytes.weights, 512 * 512);
  EXPECT_EQ(layer.bytes.inputs, 64 * 512);
  EXPECT_EQ(layer.bytes.outputs, 64 * 512);
  EXPECT_EQ(layer.cycles.compute, layer.folds * 512);
  EXPECT_EQ(layer.flushes, 0);
}

// PyPI's scalesim 3.0.0 (numpy < 2), ArrayHeight = ArrayWidth = 16, Dataflow = os, InterfaceBandwidth = CALC;
// COMPUTE_REPORT.csv's "Total Cycles" of three convolutions (input with its padding, kernel, channels, filters,
// stride):
//   16x16 3x3 256 256 1: 485471;  28x28 1x1 512 128 1: 212463;  61x61 7x7 3 64 2: 34691
// Run: python -m scalesim.scale -c os16.cfg -t topology.csv -l layout.csv -p out
TEST(Simulate, Int8ComputesAsLongAsScaleSimsOutputStationaryArray) {
  Config config = testing::test_config();
  config.memory.vaults = 1;
  config.array.rows = config.array.columns = 16;
  const struct {
    Layer layer;
    int64_t cycles;
  } runs[] = {{convolution(16, 256, 256, 3, 1, 0), 485471},
              {convolution(28, 512, 128, 1, 1, 0), 212463},
              {convolution(61, 3, 64, 7, 2, 0), 34691}};
  for (const auto& [layer, cycles] : runs) {
    const LayerResult result = simulate(workload_of({layer}), config, Design::kInt8).layers[0];
    EXPECT_EQ(result.cycles.compute + result.cycles.drain, cycles);
    EXPECT_EQ(result.cycles.compute + result.cycles.drain, result.folds * (16 + 16 + layer.inputs - 2) - 1);
  }
}

TEST(Simulate, PartsAddUpAndNothingIsBelowItsBound) {
  std::mt19937_64 random(1);
  const Config config = testing::test_config();
  for (int i = 0; i < 60; ++i) {
    const Workload workload = workload_of({random_layer(random), random_layer(random)}, 3 + i % 5);
    for (const Design design : all_designs()) {
      const DesignResult result = simulate(workload, config, design);
      int64_t cycles = 0, bytes = 0;
      double energy = 0;
      for (const LayerResult& layer : result.layers) {
        SCOPED_TRACE(layer.name + " " + to_string(design));
        EXPECT_GE(layer.bytes.weights, layer.compulsory.weights);
        EXPECT_GE(layer.bytes.inputs, layer.compulsory.inputs);
        EXPECT_GE(layer.bytes.outputs, layer.compulsory.outputs);
        EXPECT_GE(layer.cycles.total() * result.peak_macs_per_cycle, layer.macs);
        // No faster than all vaults deliver.
        const double ns = static_cast<double>(layer.cycles.total()) * 1000 / result.clock_mhz;
        EXPECT_GE(ns * 16 * 32 / 3.2 * 1.001, static_cast<double>(layer.compulsory.total()));
        for (const int64_t part : {layer.cycles.compute, layer.cycles.memory_stall, layer.cycles.post_processing}) {
          EXPECT_GE(part, 0);
        }
        for (const auto& [component, pj] : layer.energy_pj) EXPECT_GE(pj, 0) << component;
        cycles += layer.cycles.total();
        bytes += layer.bytes.total();
        energy += total(layer.energy_pj);
        EXPECT_DOUBLE_EQ(layer.energy_pj.at("dram"),
                         static_cast<double>(layer.bytes.total()) * 8 * config.memory.access_pj_per_bit);
      }
      EXPECT_EQ(result.cycles().total(), cycles);
      EXPECT_EQ(result.bytes().total(), bytes);
      EXPECT_NEAR(energy_of(result), energy, 1e-9 * energy);
      EXPECT_EQ(result.macs(), workload.macs());
    }
  }
}

TEST(Simulate, MoreBitsNeverCostLess) {
  std::mt19937_64 random(2);
  const Config config = testing::test_config();
  for (int i = 0; i < (dnateq::testing::kSanitized ? 30 : 150); ++i) {
    const Layer layer = random_layer(random);
    for (const Design design : all_designs()) {
      DesignResult before = simulate(workload_of({layer}, 2), config, design);
      for (int bits = 3; bits <= 7; ++bits) {
        DesignResult result = simulate(workload_of({layer}, bits), config, design);
        SCOPED_TRACE(::testing::Message()
                     << to_string(design) << " " << layer.name << " " << bits << ": " << layer.groups << " x "
                     << layer.rows << " x " << layer.inputs << " x " << layer.outputs << " " << before.layers[0].cut
                     << " / " << result.layers[0].cut);
        // A refresh more or less, with its rows closed and opened, is 45 cycles; how rows fall some more.
        const double clocks = 48 + 1e-3 * static_cast<double>(before.cycles().total());
        EXPECT_GE(static_cast<double>(result.cycles().total()), static_cast<double>(before.cycles().total()) - clocks);
        EXPECT_GE(result.bytes().total(), before.bytes().total());
        EXPECT_GE(energy_of(result), energy_of(before));
        before = std::move(result);
      }
    }
  }
}

TEST(Simulate, MoreBandwidthNeverCostsTime) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 60; ++i) {
    const Workload workload = workload_of({random_layer(random)}, 7);
    Config config = testing::test_config();
    int64_t before = 0;
    for (const double burst_ns : {1.6, 3.2, 6.4, 12.8}) {
      config.memory.burst_ns = burst_ns;
      const int64_t cycles = simulate(workload, config, Design::kInt8).cycles().total();
      EXPECT_GE(cycles, before) << burst_ns;
      before = cycles;
    }
  }
}

TEST(Simulate, MemoryBoundLayersGainWhatTheirBitsSave) {
  // A matrix times a vector: 32 weights a cycle are 32 bytes at 8 bits, of which a vault delivers 19.5; at 4 bits 16.
  const Workload workload = workload_of({matmul(1, 8192, 8192)}, 3);
  const Config config = testing::test_config();
  const DesignResult int8 = simulate(workload, config, Design::kInt8),
                     four = simulate(workload, config, Design::kDecode);
  EXPECT_GT(int8.layers[0].cycles.memory_stall, 0);
  const double speed = static_cast<double>(int8.cycles().total()) / static_cast<double>(four.cycles().total());
  EXPECT_NEAR(speed, 32 / 19.5, 0.08);  // 4 % to fill and drain the array
  // The vault alone: 8192 x 8192 bytes in 16 vaults of 9.77 GB/s at 500 MHz.
  const double cycles = 8192.0 * 8192 / 16 / 9.77 / 2;
  EXPECT_NEAR(static_cast<double>(int8.cycles().total()), cycles, 0.02 * cycles);
}

TEST(Simulate, FlushesCostCyclesAndEnergy) {
  const Workload workload = workload_of({matmul(128, 2048, 512)}, 3);
  Config narrow = testing::test_config(), wide = narrow;
  wide.array.counter_bits = 16;
  for (const Design design : {Design::kCounting, Design::kCountingBeta0}) {
    const DesignResult often = simulate(workload, narrow, design), never = simulate(workload, wide, design);
    EXPECT_EQ(often.layers[0].flushes, int64_t{128} * 512 * 4);  // 2048 pairs by 511
    EXPECT_EQ(never.layers[0].flushes, 0);
    EXPECT_GT(often.cycles().post_processing, 4 * never.cycles().post_processing);
    EXPECT_GT(often.energy_pj().at("post"), 4 * never.energy_pj().at("post"));
  }
}

TEST(Simulate, PostProcessingOverlapsOnlyWithASecondBank) {
  const Workload workload = workload_of({matmul(128, 500, 512)}, 3);
  Config one = testing::test_config(), two = one;
  two.array.double_buffered_counters = true;
  const DesignResult single = simulate(workload, one, Design::kCounting),
                     twice = simulate(workload, two, Design::kCounting);
  // Every fold reads 256 x 28 counters by 16 post-processors; overlapped, the last alone is seen.
  const int64_t fold = 256 / 16 * 28;
  EXPECT_EQ(single.cycles().post_processing, single.layers[0].folds * fold);
  EXPECT_EQ(twice.cycles().post_processing, fold);
  EXPECT_EQ(twice.area_um2.at("lanes"), 2 * single.area_um2.at("lanes"));
}

TEST(Simulate, OutputsThatFitStayOnChip) {
  Layer first = matmul(64, 512, 512), second = matmul(64, 512, 512), large = matmul(4096, 512, 512), reader = large;
  second.producer = 0;
  reader.producer = 2;
  const DesignResult result =
      simulate(workload_of({first, second, large, reader}), testing::test_config(), Design::kInt8);
  EXPECT_EQ(result.layers[0].bytes.outputs, 0);
  EXPECT_EQ(result.layers[1].bytes.inputs, 0);
  EXPECT_GT(result.layers[1].bytes.outputs, 0);  // nobody in the list reads it
  EXPECT_GT(result.layers[2].bytes.outputs, 0);
  EXPECT_GT(result.layers[3].bytes.inputs, 0);
  EXPECT_GT(result.layers[1].energy_pj.at("network"), 0);
}

TEST(Simulate, AConvolutionReadsItsImageOnce) {
  // 28 x 28 x 64: rows are cut over the tiles; what they share at their borders is all that is read twice.
  const LayerResult result =
      simulate(workload_of({convolution(28, 64, 64, 3, 1, 1)}), testing::test_config(), Design::kInt8).layers[0];
  EXPECT_EQ(result.compulsory.inputs, 28 * 28 * 64);
  EXPECT_LT(result.bytes.inputs, 9 * result.compulsory.inputs / 4);
}

TEST(Simulate, ADilatedKernelReadsItsImageToo) {
  Layer layer = convolution(28, 1, 1, 5, 1, 2, 64);
  layer.inputs = 9;  // 3 x 3 at a dilation of 2
  layer.weight_elements = 64 * 9;
  const LayerResult result = simulate(workload_of({layer}), testing::test_config(), Design::kInt8).layers[0];
  EXPECT_EQ(result.compulsory.inputs, 28 * 28 * 64);
  EXPECT_GE(result.bytes.inputs, result.compulsory.inputs);
}

TEST(Simulate, ZerosGateEnergyAndNotTime) {
  Workload workload = workload_of({matmul(64, 512, 512)}, 3);
  const Config config = testing::test_config();
  for (const Design design : all_designs()) {
    set_precision(workload, 3, 0, 0, "dense");
    const DesignResult dense = simulate(workload, config, design);
    set_precision(workload, 3, 0.5, 0.5, "sparse");
    const DesignResult sparse = simulate(workload, config, design);
    EXPECT_EQ(dense.cycles().total(), sparse.cycles().total());
    // Three of four pairs idle, at a quarter of the energy.
    EXPECT_NEAR(sparse.energy_pj().at("lanes"), dense.energy_pj().at("lanes") * (0.25 + 0.75 / 4),
                1e-3 * dense.energy_pj().at("lanes"));
  }
}

TEST(Simulate, Int8TakesEightBitsWhateverTheRecipe) {
  const Config config = testing::test_config();
  const DesignResult a = simulate(workload_of({matmul(64, 512, 512)}, 3), config, Design::kInt8);
  const DesignResult b = simulate(workload_of({matmul(64, 512, 512)}, 7), config, Design::kInt8);
  EXPECT_EQ(a.bytes().total(), b.bytes().total());
  EXPECT_EQ(a.cycles().total(), b.cycles().total());
}

TEST(Simulate, SameAreaBuysColumns) {
  Config config = testing::test_config();
  config.array.sizing = "same-area";
  const Workload workload = workload_of({matmul(64, 512, 512)}, 2);  // test table: 2800 um2 against 6000
  const DesignResult int8 = simulate(workload, config, Design::kInt8),
                     one = simulate(workload, config, Design::kCountingBeta0);
  EXPECT_EQ(one.lanes, int8.lanes / 32 * 68);
  EXPECT_LE(one.area_um2.at("lanes"), int8.area_um2.at("lanes"));
}

TEST(Simulate, MixedPrecisionBuildsTheWidestLane) {
  Workload workload = workload_of({matmul(64, 512, 512), matmul(64, 512, 512)}, 3);
  const Config config = testing::test_config();
  const DesignResult narrow = simulate(workload, config, Design::kCounting);
  workload.layers[1].weights.exponent_bits = 5;
  workload.layers[1].weights.stored_bits = 6;
  const DesignResult mixed = simulate(workload, config, Design::kCounting);
  EXPECT_EQ(mixed.area_um2.at("lanes"), 4 * narrow.area_um2.at("lanes"));
  // The narrow layer runs on the wide lanes: their energy a pair, but only the counters that its codes reach are read.
  EXPECT_EQ(mixed.layers[0].energy_pj.at("lanes"), 4 * narrow.layers[0].energy_pj.at("lanes"));
  EXPECT_EQ(mixed.layers[0].cycles.total(), narrow.layers[0].cycles.total());
  EXPECT_GT(mixed.layers[1].cycles.total(), narrow.layers[1].cycles.total());
  ASSERT_TRUE(mixed.lane.has_value());
  EXPECT_EQ(mixed.lane->exponent_bits, 5);
  EXPECT_FALSE(mixed.int8_lane.has_value());
}

TEST(Simulate, NarrowLayersWaitForQuantizersThatWideOnesMadeSlow) {
  Config config = testing::test_config();
  config.array.quantizers = 1;
  for (Part& part : config.energies.parts)
    if (part.name == "quantizer" && part.exponent_bits == 7)
      part.period_ns = 1.5 * 1000 / config.array.clock_mhz / config.energies.delay_scale;
  Workload workload = workload_of({matmul(64, 512, 512), matmul(64, 512, 512)}, 3);
  const int64_t fast = simulate(workload, config, Design::kDecode).layers[0].cycles.post_processing;
  workload.layers[1].weights.exponent_bits = 7;
  const int64_t slow = simulate(workload, config, Design::kDecode).layers[0].cycles.post_processing;
  EXPECT_EQ(slow, 2 * fast);
}

TEST(Simulate, LayersThatExponentialLanesDoNotRunTakeInt8LanesBesideThem) {
  Workload coded = workload_of({matmul(64, 512, 512), matmul(64, 512, 512), matmul(64, 512, 512)}, 3);
  Workload int8 = coded;
  for (Layer& layer : int8.layers) {
    layer.weights = layer.activations = Operand{};
    layer.activations.zero_fraction = 0.125;
  }
  coded.layers[1].activations.exponent_bits = 8;  // 255 levels of a ReLU's output
  coded.layers[1].activations.stored_bits = 8;
  const Config config = testing::test_config();
  EXPECT_THAT(error_of([&] { simulate(coded, config, Design::kDecode); }), HasSubstr("8 exponent bits"));

  const Workload mixed = with_int8_layers(coded, int8, 7);
  const DesignResult baseline = simulate(int8, config, Design::kInt8);
  for (const Design design : {Design::kCounting, Design::kCountingBeta0, Design::kShift, Design::kDecode}) {
    SCOPED_TRACE(to_string(design));
    const DesignResult result = simulate(mixed, config, design);
    EXPECT_FALSE(result.layers[0].int8_lanes);
    EXPECT_TRUE(result.layers[1].int8_lanes);
    EXPECT_EQ(result.layers[1].bytes.weights, baseline.layers[1].bytes.weights);
    EXPECT_EQ(result.layers[1].energy_pj.at("lanes"), baseline.layers[1].energy_pj.at("lanes"));
    EXPECT_EQ(result.layers[1].cycles.total(), baseline.layers[1].cycles.total());
    EXPECT_EQ(result.area_um2.at("int8_lanes"), baseline.area_um2.at("lanes"));
    EXPECT_EQ(result.area_um2.at("int8_post"), baseline.area_um2.at("post"));
    EXPECT_EQ(result.area_um2.at("int8_quantizers"), baseline.area_um2.at("quantizers"));
    EXPECT_EQ(result.area_um2.at("lanes"),
              simulate(workload_of({matmul(64, 512, 512)}, 3), config, design).area_um2.at("lanes"));
    // The layers beside it stay as they are but for the other lanes' leakage.
    EXPECT_GT(result.layers[0].energy_pj.at("leakage"), 0);
  }
  // What reads its codes needs, its producer writes.
  Workload chained = mixed;
  chained.layers[1].producer = 0;
  chained.layers[0].output_elements = 64 * 512;
  Config small = config;
  small.output_buffer.bytes = 64;
  EXPECT_EQ(simulate(chained, small, Design::kDecode).layers[0].bytes.outputs, 64 * 512);
}

TEST(Simulate, ANetworkOfInt8LayersAloneBuildsInt8Lanes) {
  Workload workload = workload_of({matmul(64, 512, 512)}, 3);
  workload.layers[0].int8_lanes = true;
  workload.layers[0].weights = workload.layers[0].activations = Operand{};
  const Config config = testing::test_config();
  const DesignResult baseline = simulate(workload, config, Design::kInt8),
                     result = simulate(workload, config, Design::kShift);
  EXPECT_FALSE(result.lane.has_value());
  EXPECT_EQ(result.area_um2.at("int8_lanes"), baseline.area_um2.at("lanes"));
  EXPECT_NEAR(energy_of(result), energy_of(baseline), 1e-9 * energy_of(baseline));
}

TEST(Simulate, RepeatsMultiplyEverything) {
  Layer layer = matmul(1, 512, 512);
  const Config config = testing::test_config();
  const LayerResult once = simulate(workload_of({layer}), config, Design::kShift).layers[0];
  layer.repeats = 27;
  const LayerResult often = simulate(workload_of({layer}), config, Design::kShift).layers[0];
  EXPECT_EQ(often.macs, 27 * once.macs);
  EXPECT_EQ(often.cycles.total(), 27 * once.cycles.total());
  EXPECT_EQ(often.bytes.total(), 27 * once.bytes.total());
  EXPECT_NEAR(total(often.energy_pj), 27 * total(once.energy_pj), 1e-9 * total(often.energy_pj));
}

TEST(Simulate, SameInSameOut) {
  Workload net = built_in_workload("alexnet");
  set_precision(net, 4, 0.1, 0.4, "test");
  const Config config = testing::test_config();
  const DesignResult a = simulate(net, config, Design::kCounting), b = simulate(net, config, Design::kCounting);
  EXPECT_EQ(a.cycles().total(), b.cycles().total());
  EXPECT_EQ(energy_of(a), energy_of(b));
}

TEST(Simulate, BadLayersGetASentence) {
  const Config config = testing::test_config();
  const auto error = [&](const Layer& layer) {
    Workload workload = workload_of({matmul(8, 8, 8)});
    const Operand operand = workload.layers[0].weights;
    workload.layers[0] = layer;
    if (layer.weights.origin.empty()) workload.layers[0].weights = workload.layers[0].activations = operand;
    return error_of([&] { simulate(workload, config, Design::kDecode); });
  };
  EXPECT_THAT(error(matmul(0, 8, 8)), AllOf(HasSubstr("layer matmul"), HasSubstr("rows are 0")));
  Layer late = matmul(8, 8, 8);
  late.producer = 0;
  EXPECT_THAT(error(late), HasSubstr("does not come before it"));
  Layer bent = convolution(28, 4, 4, 3, 1, 1);
  bent.geometry.output_width = 27;
  EXPECT_THAT(error(bent), HasSubstr("geometry"));
  EXPECT_THAT(error(matmul(1'000'000, 1'000'000, 1'000'000)), HasSubstr("smaller batch"));
  Layer zeros = matmul(8, 8, 8);
  zeros.weights.origin = "test";
  zeros.weights.exponent_bits = 3;
  zeros.weights.zero_fraction = 1.5;
  EXPECT_THAT(error(zeros), HasSubstr("0 to 1"));
  Config small = config;
  small.input_buffer.bytes = 8;
  EXPECT_THAT(error_of([&] { simulate(workload_of({matmul(8, 8, 8)}), small, Design::kInt8); }),
              HasSubstr("input_buffer.bytes"));
  EXPECT_THAT(error_of([&] { simulate(Workload{}, config, Design::kInt8); }), HasSubstr("no layers"));
}

TEST(Simulate, Resnet50TakesSeconds) {
  Workload net = built_in_workload("resnet50");
  set_precision(net, 4, 0.1, 0.4, "test");
  const Config config = testing::test_config();
  const auto begin = std::chrono::steady_clock::now();
  for (const Design design : all_designs()) {
    const DesignResult result = simulate(net, config, design);
    EXPECT_EQ(result.layers.size(), 54u);
    EXPECT_EQ(result.macs(), net.macs());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(Simulate, WholeNetworksCostMoreWithMoreBits) {
  const Config config = testing::test_config();
  for (const char* name : {"alexnet", "resnet50", "transformer"}) {
    Workload net = built_in_workload(name);
    for (const Design design : all_designs()) {
      if (design == Design::kInt8) continue;
      int64_t cycles = 0, bytes = 0;
      double energy = 0;
      for (int bits = 3; bits <= 7; ++bits) {
        set_precision(net, bits, 0.1, 0.4, "test");
        const DesignResult result = simulate(net, config, design);
        EXPECT_GE(result.cycles().total(), cycles) << name << to_string(design) << bits;
        EXPECT_GE(result.bytes().total(), bytes) << name << to_string(design) << bits;
        EXPECT_GE(energy_of(result), energy) << name << to_string(design) << bits;
        cycles = result.cycles().total();
        bytes = result.bytes().total();
        energy = energy_of(result);
      }
    }
  }
}

}  // namespace
}  // namespace dnateq::accelerator
