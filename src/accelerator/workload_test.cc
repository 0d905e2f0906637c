#include "accelerator/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "accelerator/tiling.h"
#include "core/test_error.h"

namespace dnateq::accelerator {
namespace {

using dnateq::testing::error_of;
using ::testing::HasSubstr;

// Krizhevsky et al., NIPS 2012: "60 million parameters"; counted layer by layer 60,965,224 with 10,568 biases. 724 M
// multiply-accumulates is what Eyeriss (Chen et al., JSSC 2017) and others count for the grouped network.
TEST(Workload, AlexnetHasThePublishedCounts) {
  const Workload net = built_in_workload("alexnet");
  EXPECT_EQ(net.weight_elements() + 10'568, 60'965'224);
  EXPECT_NEAR(static_cast<double>(net.macs()), 724e6, 1e6);
}

// torchvision's ResNet50_Weights.IMAGENET1K_V1: 25,557,032 parameters, of them 53,120 of batch norms and 1,000 biases
// that are no weights of products; 4.09 GFLOPS (multiply-accumulates).
TEST(Workload, Resnet50HasThePublishedCounts) {
  const Workload net = built_in_workload("resnet50");
  EXPECT_EQ(net.layers.size(), 54u);
  EXPECT_EQ(net.weight_elements() + 53'120 + 1'000, 25'557'032);
  EXPECT_NEAR(static_cast<double>(net.macs()), 4.09e9, 0.005e9);
}

// Vaswani et al., NIPS 2017, table 3: base model 65 M parameters. Ours without biases and layer norms; the output layer
// shares its table with the embeddings.
TEST(Workload, TransformerHasThePublishedCounts) {
  const Workload net = built_in_workload("transformer");
  EXPECT_NEAR(static_cast<double>(net.weight_elements()), 65e6, 0.04 * 65e6);
  const int64_t encoder = 6 * (4 * 512 * 512 + 2 * 512 * 2048), decoder = 6 * (8 * 512 * 512 + 2 * 512 * 2048);
  EXPECT_EQ(net.weight_elements(), encoder + decoder + 37'000 * 512);
  // A weight is used once a token; an attention product 2 x 512 times a pair of tokens that see each other: all of the
  // source, in the decoder 1 + 2 + ... + 27 of the target.
  const int64_t attention = 6 * 2 * 512 * (27 * 27 + 27 * 28 / 2 + 27 * 27);
  EXPECT_EQ(net.macs(), 27 * net.weight_elements() + attention);
}

TEST(Workload, BatchMultipliesWorkAndNotWeights) {
  for (const char* name : {"alexnet", "resnet50", "transformer"}) {
    const Workload one = built_in_workload(name), four = built_in_workload(name, 4);
    EXPECT_EQ(four.macs(), 4 * one.macs()) << name;
    EXPECT_EQ(four.weight_elements(), one.weight_elements()) << name;
  }
}

TEST(Workload, GeometryReadsTheWholeImage) {
  for (const char* name : {"alexnet", "resnet50"}) {
    for (const Layer& layer : built_in_workload(name, 2).layers) {
      EXPECT_EQ(layer.groups * inputs_of(layer, 0, layer.rows), layer.input_elements) << layer.name;
    }
  }
}

TEST(Workload, ReadersReadWhatWasWritten) {
  for (const char* name : {"alexnet", "resnet50", "transformer"}) {
    const Workload net = built_in_workload(name);
    for (size_t i = 0; i < net.layers.size(); ++i) {
      const Layer& layer = net.layers[i];
      ASSERT_LT(layer.producer, static_cast<int>(i));
      if (layer.producer < 0) continue;
      const int64_t written = net.layers[static_cast<size_t>(layer.producer)].output_elements;
      EXPECT_LE(layer.input_elements, written) << layer.name;
    }
  }
}

TEST(Workload, UnknownNamesAndPrecisionsAreRefused) {
  EXPECT_THAT(error_of([] { built_in_workload("vgg"); }), HasSubstr("alexnet, resnet50, transformer"));
  EXPECT_THAT(error_of([] { built_in_workload("alexnet", 0); }), HasSubstr("batch of 0"));
  Workload net = built_in_workload("alexnet");
  EXPECT_THAT(error_of([&] { set_precision(net, 8, 0, 0, ""); }), HasSubstr("2 to 7"));
}

}  // namespace
}  // namespace dnateq::accelerator
