// Activations of MatMuls without their channel means: x W = (x - mu) W + mu W.
//
// Behind a layer normalization the channels (last axis) of a tensor lie around means of their own, and levels that are
// dense around zero are spent on the distance to it. The means over the calibration data are subtracted from the tensor
// before it is quantized, and mu W, a constant, is added behind the layer. The network computes what it did, whatever
// mu is, so all later stages see an ordinary FP32 network. Not for convolutions, whose padding would need a mean too,
// nor for tensors that cannot be negative, which would lose their exact zeros and a sign's worth of levels.
#pragma once

#include <array>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

#include "core/progress.h"
#include "dnateq/code.h"
#include "graph/calls.h"
#include "graph/import.h"

namespace dnateq {

// Share of a tensor's mean square that its channel means must hold to be looked at further. Little is enough: with 5 %
// in outlier channels a third of a uniform grid's error went.
inline constexpr double kSmallestMeanShare = 0.02;
// Then the codes decide: at both widths the squared error must fall to this part of what it was (after normalizations
// .63-.94 was measured), and the absolute error must not rise. It does for GELU's outputs, where a few large values
// hold the squared error while many near zero would be spread out: centring one such tensor of MiniLM cost all that the
// others gained.
inline constexpr std::array<int, 2> kWidthsToCompare = {4, 6};
inline constexpr double kWorthwhileError = 0.95;

struct ChannelMeans {  // of one tensor that enters MatMuls
  std::string tensor;
  std::vector<size_t> layers;  // that read it, as indices of PreparedModel::layers
  std::vector<double> means;   // one a channel
  double share = 0;            // sum over channels of mean^2 / sum over channels of mean(x^2); 0 for a tensor of zeros
};

struct CenterOptions {
  TensorCode request;    // family and arithmetic of the codes that are compared
  bool uniform = false;  // uniform grids instead of exponential curves
  bool always = false;   // whether or not it is worth it
  int64_t compared_samples = 64;
  int threads = 1;
  Progress progress;
};

// Means over all positions of all calls, in layer order; the same at any number of threads.
std::vector<ChannelMeans> measure_channel_means(ov::Core& core, const PreparedModel& prepared, const Calls& calls,
                                                const CenterOptions& options);

// The network with every tensor centred that is worth it; the layers that read one are marked `centered`. Where the
// tensor comes from an addition of constants (a normalization's beta) and its other readers, if any, are residual sums
// with another such addition, the means move into those constants and cost nothing; else one Add stands before the
// layers. `prepared` stays as it is and is returned where nothing is to be done. The fingerprint stays that of
// `prepared`.
PreparedModel center_activations(ov::Core& core, const PreparedModel& prepared, const Calls& calls,
                                 const CenterOptions& options);

}  // namespace dnateq
