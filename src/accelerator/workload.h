// What an accelerator has to do: a network as a list of matrix products, with the bits and statistics of their
// operands.
//
// A layer is `groups` products of [rows x inputs] by [inputs x outputs]; a convolution keeps its geometry beside it,
// since its rows overlap and are read once. Every figure is at the batch that the workload states. Non-goals: values
// (energy and time need only sizes, bits and code statistics), element-wise work between the layers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dnateq::accelerator {

// What the levels of a code are. Assumed: nobody fitted one, so they are what each design needs.
enum class Levels { kAssumed, kReal, kInt8Grid };

// One operand's codes. Magnitude code i (0 ... levels - 1) is the exponent that the hardware sees; zero has none.
struct Operand {
  int stored_bits = 8;       // on the wire and in memory
  int exponent_bits = 7;     // ceil(log2(levels a side)); what counters and tables are sized by
  double zero_fraction = 0;  // share of values that are exactly zero
  double base = 2;           // of the code's curve
  bool beta_is_zero = true;  // of the code's curve
  Levels levels = Levels::kAssumed;
  std::vector<double> exponent_share;  // of the nonzero values, by magnitude code; empty = not measured
  std::string origin;                  // "recipe", "paper's average", "int8": printed beside every figure made of it
};

enum class LayerKind { kConvolution, kMatMul };

// Where a convolution's rows (output positions) read. All zero for a MatMul, and where it is not known: then a share of
// the rows is taken to read the same share of the image, without the overlap of its neighbours.
struct Geometry {
  int64_t input_height = 0, input_width = 0, output_height = 0, output_width = 0;
  int64_t kernel_height = 0, kernel_width = 0, stride_height = 1, stride_width = 1;
  bool known() const { return output_width > 0; }
};

struct Layer {
  std::string name;
  LayerKind kind = LayerKind::kMatMul;
  int64_t groups = 1;                    // depthwise: the number of channels; attention products: heads x batch
  int64_t rows = 1;                      // per group: output positions x batch, or tokens
  int64_t inputs = 1;                    // per group: K, values summed into one output
  int64_t outputs = 1;                   // per group: N
  int64_t input_elements = 0;            // distinct values read (a convolution's image, without padding), all groups
  int64_t weight_elements = 0;           // distinct, all groups; embeddings are no layer
  int64_t output_elements = 0;           // written, all groups
  bool weights_are_activations = false;  // second operand is a KV cache or another activation, in the activations' code
  int producer = -1;                     // index of the layer whose output this one reads, -1 = from memory
  int weight_producer = -1;              // the same for weights that are activations
  int64_t repeats = 1;  // runs one after another, as the steps of a decoder; every size above is of one run
  // In every design on INT8 multiply-accumulate lanes that lie beside its own: no code of its operands, or too wide
  // ones.
  bool int8_lanes = false;
  Geometry geometry;
  Operand weights, activations;

  int64_t macs() const { return repeats * groups * rows * inputs * outputs; }  // of all repeats
};

struct Workload {
  std::string name;    // "resnet50"
  std::string origin;  // file, or the publication of a built-in list
  int64_t batch = 1;
  std::vector<Layer> layers;  // in order of execution
  int64_t macs() const;
  int64_t weight_elements() const;  // a shared table counts once a layer that reads it
};

// "alexnet" (both towers, grouped), "resnet50" (stride in the 3 x 3 convolutions), both at ImageNet shapes, or
// "transformer" (Transformer-base, WMT). A run is `batch` images, or `batch` sentences: encoder over 27 tokens, then 27
// greedy decoding steps with a KV cache in memory (workload.cc). Operands: INT8. Throws Error naming the lists that
// there are.
Workload built_in_workload(const std::string& name, int64_t batch = 1);

// Every operand with `exponent_bits` exponent bits and a sign (stored bits = exponent_bits + 1) and these zero shares;
// the base is 2^(1/q) with q = 2^(exponent_bits - 2), so that 2^exponent_bits levels span a factor of about 16 at every
// width (ours: what fits weights of trained networks). `origin` goes to the operands.
void set_precision(Workload& workload, int exponent_bits, double weight_zeros, double activation_zeros,
                   const std::string& origin);

}  // namespace dnateq::accelerator
