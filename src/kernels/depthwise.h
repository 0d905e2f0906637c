// Depthwise convolution: every channel has its own filter. NHWC levels, exact in INT32, shapes and rows as in
// convolution.h with groups == channels == outputs.
//
// A filter is a handful of levels, so that packing them would save nothing: codes are decoded at construction. Layout:
// blocks of 32 channels; in a block the taps in pairs (an odd last one with level 0); in a pair the channels' octets in
// the order 0, 2, 1, 3; in an octet, for each channel the two taps' levels, int16. That is what interleaving the bytes
// of two taps within the 128-bit lanes of a register gives, and what vpmaddwd and vpdpwssd multiply. int16 holds the
// large levels of fine grids too.
//
// Source: ours. Non-goals: several outputs a channel (grouped convolution takes them).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/convolution.h"

namespace dnateq::kernels {

class DepthwiseWeights {
 public:
  static constexpr size_t kBlockChannels = 32;

  // `codes`: channels x taps (kh, kw), one code a byte; `levels`: 2^bits of them, levels[0] = 0.
  // Throws Error like PackedWeights.
  DepthwiseWeights(std::span<const uint8_t> codes, size_t channels, size_t taps, int bits, std::span<const int> levels);

  size_t channels() const { return channels_; }
  size_t taps() const { return taps_; }
  size_t pairs() const { return (taps_ + 1) / 2; }
  size_t blocks() const { return (channels_ + kBlockChannels - 1) / kBlockChannels; }
  size_t block_levels() const { return pairs() * 2 * kBlockChannels; }
  const int16_t* levels() const { return levels_.data(); }
  // Where the level of a tap of a channel lies.
  size_t place(size_t channel, size_t tap) const;
  int64_t largest_absolute_sum() const { return largest_absolute_sum_; }

 private:
  size_t channels_, taps_;
  std::vector<int16_t> levels_;
  int64_t largest_absolute_sum_ = 0;
};

// Throws Error as convolve() does.
void convolve_depthwise(const ConvolutionShape& shape, const DepthwiseWeights& weights, const Levels& x,
                        const Epilogue& epilogue);
// With the kernel of this name, of depthwise_kernels().
void convolve_depthwise_with(std::string_view kernel, const ConvolutionShape& shape, const DepthwiseWeights& weights,
                             const Levels& x, const Epilogue& epilogue);
// Those that this CPU runs, fastest first.
std::vector<std::string> depthwise_kernels();

}  // namespace dnateq::kernels
