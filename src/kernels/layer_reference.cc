#include "kernels/layer_reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "dnateq/error.h"
#include "kernels/matmul_kernel.h"

namespace dnateq::kernels {
namespace {

// Level of one channel of a pixel of the padded image.
int level_at(const ConvolutionShape& s, const Levels& x, size_t image, size_t line, size_t column, size_t channel) {
  if (line < s.pad_top || line >= s.pad_top + s.height) return 0;
  if (column < s.pad_left || column >= s.pad_left + s.width) return 0;
  const size_t pixel = (image * s.height + line - s.pad_top) * s.width + column - s.pad_left;
  const uint8_t byte = x.data[pixel * s.channels + channel];
  return x.is_signed ? static_cast<int8_t>(byte) : byte;
}

}  // namespace

void convolve_reference(const ConvolutionShape& shape, std::span<const int> weights, const Levels& x,
                        const Epilogue& epilogue) {
  check(shape);
  const ConvolutionShape& s = shape;
  if (weights.size() != s.outputs * s.inputs())
    throw Error(fmt::format("{} weights for {} outputs of {} inputs; this is a bug of dnateq, report it",
                            weights.size(), s.outputs, s.inputs()));
  const size_t group_channels = s.channels / s.groups, group_outputs = s.outputs / s.groups;
  std::vector<int32_t> sums(s.outputs);
  size_t row = 0;
  for (size_t image = 0; image < s.batch; ++image)
    for (size_t line = 0; line < s.output_height(); ++line)
      for (size_t column = 0; column < s.output_width(); ++column, ++row) {
        for (size_t o = 0; o < s.outputs; ++o) {
          int64_t sum = 0;
          const int* weight = weights.data() + o * s.inputs();
          for (size_t kh = 0; kh < s.kernel_height; ++kh)
            for (size_t kw = 0; kw < s.kernel_width; ++kw)
              for (size_t c = 0; c < group_channels; ++c)
                sum += int64_t{*weight++} * level_at(s, x, image, line * s.stride_height + kh * s.dilation_height,
                                                     column * s.stride_width + kw * s.dilation_width,
                                                     o / group_outputs * group_channels + c);
          if (sum != static_cast<int32_t>(sum))
            throw Error(fmt::format("a sum over {} inputs overflows 32 bits; quantize this layer with smaller levels",
                                    s.inputs()));
          sums[o] = static_cast<int32_t>(sum);
        }
        for (size_t o = 0; o < s.outputs; o += kPanelChannels)
          finish_block_scalar(epilogue, sums.data() + o, 0, row, 1, o, std::min(kPanelChannels, s.outputs - o));
      }
}

}  // namespace dnateq::kernels
