// The epilogue of a part of a matrix, whose rows and channels count from zero.
#pragma once

#include "kernels/epilogue.h"

namespace dnateq::kernels {

// Passes a part's blocks on as blocks of the whole.
struct PartSink {
  BlockSink sink;
  void* context;
  size_t row, channel;

  static void pass_on(void* context, const SinkBlock& block) {
    const auto* part = static_cast<const PartSink*>(context);
    SinkBlock of_whole = block;
    of_whole.row += part->row, of_whole.channel += part->channel;
    part->sink(part->context, of_whole);
  }
};

// The epilogue for rows and channels that count from (row, channel) of `whole`. `sink` must outlive it.
inline Epilogue part_of(const Epilogue& whole, size_t row, size_t channel, PartSink& sink) {
  Epilogue part = whole;
  if (part.row_scale != nullptr) part.row_scale += row;
  if (part.channel_scale != nullptr) part.channel_scale += channel;
  if (part.bias != nullptr) part.bias += channel;
  if (part.residual != nullptr) part.residual += row * part.residual_stride + channel;
  if (part.values != nullptr) part.values += row * part.stride + channel;
  if (part.sums != nullptr) part.sums += row * part.stride + channel;
  if (part.sink != nullptr) {
    sink = {part.sink, part.sink_context, row, channel};
    part.sink = PartSink::pass_on, part.sink_context = &sink;
  }
  return part;
}

}  // namespace dnateq::kernels
