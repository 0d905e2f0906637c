#include "accelerator/workload.h"

#include <fmt/format.h>

#include <cmath>

#include "dnateq/error.h"

namespace dnateq::accelerator {
namespace {

// INT8 operands, as every built-in list has them; the base is set_precision's for 7 exponent bits.
Operand int8_operand() {
  Operand operand;
  operand.base = std::exp2(1.0 / 32);
  operand.origin = "int8";
  return operand;
}

class Builder {
 public:
  Builder(std::string name, std::string origin, int64_t batch) {
    workload_.name = std::move(name);
    workload_.origin = std::move(origin);
    workload_.batch = batch;
  }

  struct Image {
    int64_t size = 0, channels = 0;
    int producer = -1;
  };

  // A square convolution; what is written is `pooled` x `pooled` where a pooling follows it (0: none).
  Image convolution(const std::string& name, const Image& in, int64_t outputs, int64_t kernel, int64_t stride,
                    int64_t padding, int64_t groups = 1, int64_t pooled = 0) {
    const int64_t size = (in.size + 2 * padding - kernel) / stride + 1;
    Layer layer = blank(name, in.producer);
    layer.kind = LayerKind::kConvolution;
    layer.groups = groups;
    layer.rows = workload_.batch * size * size;
    layer.inputs = in.channels / groups * kernel * kernel;
    layer.outputs = outputs / groups;
    // A stride longer than the kernel leaves values unread.
    const int64_t read = kernel < stride ? size * kernel : std::min(in.size, (size - 1) * stride + kernel);
    layer.input_elements = workload_.batch * read * read * in.channels;
    layer.weight_elements = outputs * layer.inputs;
    const int64_t written = pooled > 0 ? pooled : size;
    layer.output_elements = workload_.batch * written * written * outputs;
    layer.geometry = {in.size, in.size, size, size, kernel, kernel, stride, stride};
    return {written, outputs, add(std::move(layer))};
  }

  int matmul(const std::string& name, int producer, int64_t rows, int64_t inputs, int64_t outputs,
             int64_t repeats = 1) {
    Layer layer = blank(name, producer);
    layer.rows = rows;
    layer.inputs = inputs;
    layer.outputs = outputs;
    layer.repeats = repeats;
    layer.input_elements = rows * inputs;
    layer.weight_elements = inputs * outputs;
    layer.output_elements = rows * outputs;
    return add(std::move(layer));
  }

  // An attention product of activations: `groups` heads of [rows x inputs] by [inputs x outputs]. The second operand
  // has `weight_producer`, or comes from a cache in memory.
  int product(const std::string& name, int producer, int weight_producer, int64_t groups, int64_t rows, int64_t inputs,
              int64_t outputs, int64_t repeats = 1) {
    Layer layer = blank(name, producer);
    layer.groups = groups;
    layer.rows = rows;
    layer.inputs = inputs;
    layer.outputs = outputs;
    layer.repeats = repeats;
    layer.input_elements = groups * rows * inputs;
    layer.weight_elements = groups * inputs * outputs;
    layer.output_elements = groups * rows * outputs;
    layer.weights_are_activations = true;
    layer.weight_producer = weight_producer;
    return add(std::move(layer));
  }

  Workload done() { return std::move(workload_); }

 private:
  static Layer blank(const std::string& name, int producer) {
    Layer layer;
    layer.name = name;
    layer.producer = producer;
    layer.weights = layer.activations = int8_operand();
    return layer;
  }

  int add(Layer layer) {
    workload_.layers.push_back(std::move(layer));
    return static_cast<int>(workload_.layers.size()) - 1;
  }

  Workload workload_;
};

Workload alexnet(int64_t batch) {
  Builder net("alexnet", "Krizhevsky et al., NIPS 2012: both towers, 227 x 227, grouped convolutions", batch);
  Builder::Image image{227, 3, -1};
  image = net.convolution("conv1", image, 96, 11, 4, 0, 1, 27);
  image = net.convolution("conv2", image, 256, 5, 1, 2, 2, 13);
  image = net.convolution("conv3", image, 384, 3, 1, 1);
  image = net.convolution("conv4", image, 384, 3, 1, 1, 2);
  image = net.convolution("conv5", image, 256, 3, 1, 1, 2, 6);
  int last = net.matmul("fc6", image.producer, batch, 9216, 4096);
  last = net.matmul("fc7", last, batch, 4096, 4096);
  net.matmul("fc8", last, batch, 4096, 1000);
  return net.done();
}

Workload resnet50(int64_t batch) {
  Builder net("resnet50",
              "He et al., CVPR 2016, with the stride in the 3 x 3 convolutions as in torchvision, 224 x 224", batch);
  Builder::Image image = net.convolution("conv1", {224, 3, -1}, 64, 7, 2, 3, 1, 56);
  const int64_t blocks[4] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t width = int64_t{64} << stage;
    for (int64_t block = 0; block < blocks[stage]; ++block) {
      const std::string name = fmt::format("layer{}.{}", stage + 1, block);
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      const Builder::Image in = image;
      image = net.convolution(name + ".conv1", in, width, 1, 1, 0);
      image = net.convolution(name + ".conv2", image, width, 3, stride, 1);
      // The short cut before the last convolution, so that the block's output is the last layer's.
      if (block == 0) net.convolution(name + ".downsample", in, 4 * width, 1, stride, 0);
      image = net.convolution(name + ".conv3", image, 4 * width, 1, 1, 0);
    }
  }
  net.matmul("fc", image.producer, batch, 2048, 1000);  // behind the mean over 7 x 7
  return net.done();
}

// Sentences of newstest2014 have about this many tokens of the shared 37,000-token vocabulary (assumed).
constexpr int64_t kTokens = 27;

// A run is `batch` sentences: the encoder over kTokens tokens, the decoder's keys and values of its output once, then
// kTokens greedy steps of one token with a KV cache. The steps are the same layers at a growing context of 1 ... 27;
// they stand here once, repeated, at the mean context of 14, which has the same multiply-accumulates and the same bytes
// of cache.
Workload transformer(int64_t batch) {
  constexpr int64_t kModel = 512, kHidden = 2048, kHeads = 8, kHead = kModel / kHeads, kVocabulary = 37000, kLayers = 6;
  constexpr int64_t kContext = (kTokens + 1) / 2;
  Builder net("transformer",
              "Vaswani et al., NIPS 2017, base model: 27 source tokens, 27 decoding steps at their mean context of 14",
              batch);
  const int64_t rows = batch * kTokens, heads = batch * kHeads;
  int x = -1;
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string name = fmt::format("encoder.{}.", i);
    const int q = net.matmul(name + "query", x, rows, kModel, kModel),
              k = net.matmul(name + "key", x, rows, kModel, kModel);
    const int v = net.matmul(name + "value", x, rows, kModel, kModel);
    const int scores = net.product(name + "scores", q, k, heads, kTokens, kHead, kTokens);
    const int mixed = net.product(name + "mix", scores, v, heads, kTokens, kTokens, kHead);
    x = net.matmul(name + "output", mixed, rows, kModel, kModel);
    x = net.matmul(name + "hidden", x, rows, kModel, kHidden);
    x = net.matmul(name + "feed", x, rows, kHidden, kModel);
  }
  for (int64_t i = 0; i < kLayers; ++i) {
    net.matmul(fmt::format("decoder.{}.source_key", i), x, rows, kModel, kModel);
    net.matmul(fmt::format("decoder.{}.source_value", i), x, rows, kModel, kModel);
  }
  x = -1;
  const auto step = [&](const std::string& name, int producer, int64_t inputs, int64_t outputs) {
    return net.matmul(name, producer, batch, inputs, outputs, kTokens);
  };
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string name = fmt::format("decoder.{}.", i);
    const int q = step(name + "query", x, kModel, kModel);
    step(name + "key", x, kModel, kModel);  // into the cache, in memory
    step(name + "value", x, kModel, kModel);
    const int scores = net.product(name + "scores", q, -1, heads, 1, kHead, kContext, kTokens);
    const int mixed = net.product(name + "mix", scores, -1, heads, 1, kContext, kHead, kTokens);
    x = step(name + "output", mixed, kModel, kModel);
    const int source_q = step(name + "source_query", x, kModel, kModel);
    const int source_scores = net.product(name + "source_scores", source_q, -1, heads, 1, kHead, kTokens, kTokens);
    const int source_mixed = net.product(name + "source_mix", source_scores, -1, heads, 1, kTokens, kHead, kTokens);
    x = step(name + "source_output", source_mixed, kModel, kModel);
    x = step(name + "hidden", x, kModel, kHidden);
    x = step(name + "feed", x, kHidden, kModel);
  }
  step("logits", x, kModel, kVocabulary);
  return net.done();
}

}  // namespace

int64_t Workload::macs() const {
  int64_t sum = 0;
  for (const Layer& layer : layers) sum += layer.macs();
  return sum;
}

int64_t Workload::weight_elements() const {
  int64_t sum = 0;
  for (const Layer& layer : layers) sum += layer.weights_are_activations ? 0 : layer.weight_elements;
  return sum;
}

Workload built_in_workload(const std::string& name, int64_t batch) {
  if (batch < 1 || batch > 65536) throw Error(fmt::format("a batch of {}: it must be 1 to 65536", batch));
  if (name == "alexnet") return alexnet(batch);
  if (name == "resnet50") return resnet50(batch);
  if (name == "transformer") return transformer(batch);
  throw Error(fmt::format("no network is built in as '{}': there are alexnet, resnet50, transformer", name));
}

void set_precision(Workload& workload, int exponent_bits, double weight_zeros, double activation_zeros,
                   const std::string& origin) {
  if (exponent_bits < 2 || exponent_bits > 7) {
    throw Error(fmt::format("{} exponent bits: the exponential designs take 2 to 7", exponent_bits));
  }
  for (Layer& layer : workload.layers) {
    for (Operand* operand : {&layer.weights, &layer.activations}) {
      operand->exponent_bits = exponent_bits;
      operand->stored_bits = exponent_bits + 1;
      operand->base = std::exp2(1.0 / (1 << (exponent_bits - 2)));
      operand->exponent_share.clear();
      operand->origin = origin;
    }
    layer.weights.zero_fraction = layer.weights_are_activations ? activation_zeros : weight_zeros;
    layer.activations.zero_fraction = activation_zeros;
  }
}

}  // namespace dnateq::accelerator
