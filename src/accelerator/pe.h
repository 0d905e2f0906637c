// A processing element's three stages, as time: a lane counts or accumulates one pair a cycle, a post-processor turns
// what the lane holds into an output, a quantizer gives the output its code. Energies and areas are the energy table's.
//
// Counters (ours, from the lanes of rtl/; the paper's widths are not at hand): a signed counter of W bits takes 2^(W-1)
// - 1 pairs in the worst case, all of them in one bin; then the array stops, the post-processors read the counters out,
// and it goes on.
#pragma once

#include <cstdint>
#include <string>

#include "accelerator/config.h"
#include "accelerator/workload.h"

namespace dnateq::accelerator {

inline constexpr int kFewestExponentBits = 2, kMostExponentBits = 7;

// Values that a post-processor reads for one output. n exponent bits a side; q of the shift design's base 2^(1/q).
//   counting: m = 2^n - 1 levels a side: 2 m - 1 of i + j, m of i, m of j and the sign = 4 m (28, 60, 124, 252, 508 for
//   n = 3 ... 7) counting-beta0: 2^n levels a side: 2^(n+1) - 1;  shift: q;  int8, decode: 1
int64_t bins(Design design, int exponent_bits, int q);

// Pairs that a lane takes before it must be read out, whatever their codes. Counters of `bits` bits: 2^(bits - 1) - 1;
// a shift lane's accumulators have its largest shift more than that, so the same. int8, decode: an accumulator of
// `bits` (0: 32), fed products of up to 127 x 127. A table's `horizon` replaces this.
int64_t pairs_until_flush(Design design, int bits);

// What runs one layer: the design's lane, or INT8's where Layer::int8_lanes says so. Parts point into the
// configuration's table.
struct ProcessingElement {
  int exponent_bits = 0, q = 0;  // 0 for int8; q of shift alone
  const Part* lane = nullptr;
  const Part* post = nullptr;
  const Part* quantizer = nullptr;
  int64_t flush_after = 0;       // pairs
  int64_t post_steps = 0;        // values that a post-processor reads for one output
  int64_t post_cycles = 0;       // of a post-processor, one output
  int64_t quantizer_cycles = 1;  // of a quantizer, one output

  int64_t flushes(int64_t pairs) const { return (pairs + flush_after - 1) / flush_after - 1; }  // beyond the last
};

// Throws Error naming layer and key: bits outside the range, a base that shift cannot do, counters too narrow, a part
// that is missing, a lane slower than the clock. Slower post-processors and quantizers take more cycles a step.
ProcessingElement processing_element(const Config& config, Design design, const Layer& layer);

// The same layer on parts that were built for wider codes.
ProcessingElement on_parts(const Config& config, const ProcessingElement& pe, const Part& lane, const Part& post,
                           const Part& quantizer);

// Cycles in which a tile's post-processors (and at an output's end its quantizers) serve `outputs` lanes.
int64_t post_time(const Config& config, const ProcessingElement& pe, int64_t outputs, bool last);

}  // namespace dnateq::accelerator
