// Activations of MatMuls without their channel means: x W = (x - mu) W + mu W.
//
// Behind a layer normalization the channels (last axis) of a tensor lie around means of their own, and levels that are
// dense around zero are spent on the distance to it. The means over the calibration data are subtracted from the tensor
// before it is quantized, and mu W, a constant, is added behind the layer. The network computes what it did, whatever
// mu is, so all later stages see an ordinary FP32 network. Not for convolutions, whose padding would need a mean too,
// nor for tensors that cannot be negative, which would lose their exact zeros and a sign's worth of levels.
#pragma once

#include <openvino/openvino.hpp>
#include <string>
#include <vector>

#include "openvino/calls.h"
#include "openvino/import.h"
#include "openvino/progress.h"

namespace dnateq {

// Share of a tensor's mean square that its channel means must hold to be worth an addition.
inline constexpr double kSmallestMeanShare = 0.1;

struct ChannelMeans {  // of one tensor that enters MatMuls
  std::string tensor;
  std::vector<size_t> layers;  // that read it, as indices of PreparedModel::layers
  std::vector<double> means;   // one a channel
  double share = 0;            // sum over channels of mean^2 / sum over channels of mean(x^2); 0 for a tensor of zeros
};

struct CenterOptions {
  double smallest_share = kSmallestMeanShare;
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
