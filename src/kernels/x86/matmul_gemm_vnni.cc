// Many rows, AVX-512 VNNI: a panel is decoded once to levels (64 x K bytes, in the second-level cache), then blocks of
// 6 or 7 rows x 64 channels run over it.
//
// vpdpbusd multiplies u8 by s8. Unsigned activations are the u8 beside s8 levels. Signed ones are the s8 beside levels
// + 128, which add 128 times the row's sum: the accumulators start at minus that. Shifted ones are u8 beside s8 levels
// and add 128 times the channel's sum.
#include "kernels/x86/avx512_common.h"

namespace dnateq::kernels {
namespace {

constexpr size_t kMostRows = 7;  // of a block

// 7 rows fill all registers: 28 sums, 3 of 4 vectors of levels, one broadcast; the fourth vector comes from memory,
// which vpdpbusd takes as its signed operand only. The lines of a convolution's images are multiples of 7 remarkably
// often.
size_t block_rows(const MatmulTask& task) { return task.x_signed ? 6 : 7; }

// To [k / 4][n / 16][64 bytes], the order in which the microkernel reads.
template <int kBits>
void decode_panel(const uint8_t* unit, const MatmulTask& task, int table, char flip, uint8_t* levels) {
  const LevelTable<kBits> lookup(task.levels[table], flip);
  for (size_t u = 0; u < task.units; ++u, unit += task.unit_bytes, levels += 512) {
    __m512i codes[8];
    if constexpr (kBits < 8) unpack_lines<kBits>(unit, codes);
    for (int i = 0; i < 8; ++i) {
      __m512i decoded;
      if constexpr (kBits == 8)
        decoded = stored_levels(unit, table, i, lookup);
      else
        decoded = lookup[codes[i]];
      _mm512_store_si512(levels + 64 * i, decoded);
    }
  }
}

using DecodePanel = void (*)(const uint8_t*, const MatmulTask&, int, char, uint8_t*);
constexpr DecodePanel kDecode[] = {decode_panel<2>, decode_panel<3>, decode_panel<4>, decode_panel<5>,
                                   decode_panel<6>, decode_panel<7>, decode_panel<8>};

template <bool kSigned>
inline __attribute__((always_inline)) void dot_quad(__m512i& sum, __m512i levels, __m512i x) {
  if constexpr (kSigned)
    dot(sum, levels, x);
  else
    dot(sum, x, levels);
}

inline __attribute__((always_inline)) void dot_memory(__m512i& sum, __m512i x, const uint8_t* levels) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "m"(*reinterpret_cast<const __m512i_u*>(levels)));
}

inline __attribute__((always_inline)) __m512i broadcast_quad(const uint8_t* bytes) {
  __m512i quad;
  asm("vpbroadcastd %1, %0" : "=v"(quad) : "m"(*reinterpret_cast<const uint8_t(*)[4]>(bytes)));
  return quad;
}

// A block of rows: segment i of row r is the `inputs` bytes at rows[r] + segments[i]; the levels of all follow each
// other. `tails`, if not null: 4 more inputs a row, 4 bytes apart.
struct BlockInputs {
  const uint8_t* rows[kMostRows];
  const size_t* segments;
  size_t count, inputs;
  const uint8_t* tails;
};

// Where a block's sums go from the registers: as they are, or through the epilogue. The latter only where all 64
// channels exist; finish_block() takes the rest. A pass through memory costs a block 100 cycles, a third of what its
// products take at K = 64.
struct BlockResults {
  int32_t* sums;  // null: through the epilogue
  size_t sums_stride;
  // At the block's first row and channel, as in Epilogue; scale and bias are never null.
  const float *row_scale = nullptr, *channel_scale = nullptr, *bias = nullptr, *residual = nullptr;
  float* values = nullptr;
  size_t values_stride = 0;
  const Epilogue* epilogue = nullptr;
};

template <int kRows>
inline __attribute__((always_inline)) void store_block(const __m512i (&sums)[kRows][4], const BlockResults& to) {
  if (to.sums != nullptr) {
    unrolled<kRows>([&](int row) __attribute__((always_inline)) {
      int32_t* at = to.sums + static_cast<size_t>(row) * to.sums_stride;
      unrolled<4>([&](int i) __attribute__((always_inline)) { _mm512_storeu_si512(at + 16 * i, sums[row][i]); });
    });
    return;
  }
  const bool bounded = to.epilogue->activation != Activation::kNone;
  const bool clamped = to.epilogue->activation == Activation::kClamp;
  const __m512 lowest = _mm512_set1_ps(clamped ? to.epilogue->lowest : 0),
               highest = _mm512_set1_ps(to.epilogue->highest);
  const float *const row_scale = to.row_scale, *const residual = to.residual;
  float* const values = to.values;
  const size_t stride = to.values_stride, residual_stride = to.epilogue->residual_stride;
  unrolled<4>([&](int i) __attribute__((always_inline)) {
    const __m512 scale = _mm512_loadu_ps(to.channel_scale + 16 * i), bias = _mm512_loadu_ps(to.bias + 16 * i);
    unrolled<kRows>([&](int row) __attribute__((always_inline)) {
      // In the order and roundings of finish_block_scalar().
      __m512 y = _mm512_cvtepi32_ps(sums[row][i]);
      if (row_scale != nullptr) y = _mm512_mul_ps(y, _mm512_set1_ps(row_scale[row]));
      y = _mm512_add_ps(_mm512_mul_ps(y, scale), bias);
      if (residual != nullptr)
        y = _mm512_add_ps(y, _mm512_loadu_ps(residual + static_cast<size_t>(row) * residual_stride + 16 * i));
      if (bounded) y = _mm512_max_ps(y, lowest);
      if (clamped) y = _mm512_min_ps(y, highest);
      _mm512_storeu_ps(values + static_cast<size_t>(row) * stride + 16 * i, y);
    });
  });
}

// starts + x * levels; `starts`: one a row of signed activations, else one a channel.
template <bool kSigned, int kRows>
void block(const BlockInputs& x, const uint8_t* levels, const int32_t* starts, const BlockResults& to) {
  __m512i sums[kRows][4];
  unrolled<kRows>([&](int row) __attribute__((always_inline)) {
    unrolled<4>([&](int i) __attribute__((always_inline)) {
      sums[row][i] = kSigned ? _mm512_set1_epi32(starts[row]) : _mm512_load_si512(starts + 16 * i);
    });
  });
  const size_t segments = x.count + (x.tails != nullptr ? 1 : 0);
  for (size_t segment = 0; segment < segments; ++segment) {
    const bool whole = segment < x.count;
    const uint8_t* rows[kRows];
    for (int row = 0; row < kRows; ++row) rows[row] = whole ? x.rows[row] + x.segments[segment] : x.tails + 4 * row;
    const size_t inputs = whole ? x.inputs : 4;
    for (size_t at = 0; at < inputs; at += 4, levels += 256) {
      constexpr int kHeld = kRows < 7 ? 4 : 3;  // of the 4 vectors of levels, in registers
      static_assert(kRows < 7 || !kSigned);
      __m512i w[kHeld];
      unrolled<kHeld>([&](int i) __attribute__((always_inline)) { w[i] = load_line(levels + 64 * i); });
      unrolled<kRows>([&](int row) __attribute__((always_inline)) {
        const __m512i quad_of_row = broadcast_quad(rows[row] + at);
        unrolled<kHeld>([&](int i)
                            __attribute__((always_inline)) { dot_quad<kSigned>(sums[row][i], w[i], quad_of_row); });
        if constexpr (kHeld == 3) dot_memory(sums[row][3], quad_of_row, levels + 192);
      });
    }
  }
  store_block<kRows>(sums, to);
}

using Block = void (*)(const BlockInputs&, const uint8_t*, const int32_t*, const BlockResults&);
constexpr Block kSignedBlocks[] = {block<true, 1>, block<true, 2>, block<true, 3>,
                                   block<true, 4>, block<true, 5>, block<true, 6>};
constexpr Block kUnsignedBlocks[] = {block<false, 1>, block<false, 2>, block<false, 3>, block<false, 4>,
                                     block<false, 5>, block<false, 6>, block<false, 7>};

int32_t sum_of_row(const uint8_t* x, size_t count) {
  __m512i sum = _mm512_setzero_si512();
  for (size_t k = 0; k < count; k += 64) {
    const size_t left = count - k;
    const __mmask64 mask = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
    dot(sum, _mm512_set1_epi8(1), _mm512_maskz_loadu_epi8(mask, x + k));
  }
  return _mm512_reduce_add_epi32(sum);
}

size_t padded_rows(const MatmulRange& range) { return (range.row_end - range.row_begin + 15) / 16 * 16; }

// Panels whose levels are held at once. All, if they leave room in the second-level cache: rows then pass by once, and
// their results are written side by side.
size_t panels_at_once(const MatmulTask& task, const MatmulRange& range) {
  constexpr size_t kMostBytes = size_t{384} << 10;
  const size_t panels = range.panel_end - range.panel_begin;
  return panels * static_cast<size_t>(task.tables) * task.units * 512 <= kMostBytes ? panels : 1;
}

// What the rows of a range need beside their activations.
struct Rows {
  size_t begin, count;
  int32_t* starts;       // of signed activations: -128 * sum
  const uint8_t* tails;  // null: none. The last K % 4 inputs of each row, zero-padded
};

Rows prepare_rows(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  const size_t count = range.row_end - range.row_begin, whole = task.k / 4 * 4, tail = task.k % 4;
  auto* const starts = reinterpret_cast<int32_t*>(scratch);
  uint8_t* const tails = scratch + padded_rows(range) * sizeof(int32_t);
  for (size_t row = 0; task.x_signed && row < count; ++row) {
    const size_t m = range.row_begin + row;
    starts[row] = -128 * (task.row_sums != nullptr ? task.row_sums[m] : sum_of_row(task.x + m * task.x_stride, task.k));
  }
  for (size_t row = 0; tail != 0 && row < count; ++row) {
    const uint8_t* x = task.x + (range.row_begin + row) * task.x_stride + whole;
    for (size_t i = 0; i < 4; ++i) tails[4 * row + i] = i < tail ? x[i] : uint8_t{0};
  }
  return {range.row_begin, count, starts, tail != 0 ? tails : nullptr};
}

// 64 channels, ready for any block of rows.
struct Panel {
  size_t channel, columns;
  const uint8_t* levels;  // of the first table
  alignas(64) int32_t starts[2][64];

  Panel(const MatmulTask& task, size_t panel, const uint8_t* decoded)
      : channel(panel * 64), columns(task.n - channel < 64 ? task.n - channel : 64), levels(decoded) {
    for (int table = 0; table < task.tables; ++table)
      for (size_t n = 0; n < 64; n += 16) {
        __m512i start = _mm512_setzero_si512();
        if (task.x_shifted)
          start =
              _mm512_mullo_epi32(_mm512_set1_epi32(-128), _mm512_loadu_si512(task.channel_sums[table] + channel + n));
        _mm512_store_si512(starts[table] + n, start);
      }
  }
};

template <unsigned kBits>
struct Floats {
  alignas(64) uint32_t bits[64];
  constexpr Floats() : bits{} {
    for (uint32_t& one : bits) one = kBits;
  }
  const float* data() const { return reinterpret_cast<const float*>(bits); }
};
// Neutral where scale or bias are absent: 1 and -0 change no float.
constexpr Floats<0x3F800000> kOnes;
constexpr Floats<0x80000000> kMinusZeros;

// `block`: takes the values where only the sink wants them.
BlockResults through_epilogue(const Epilogue& e, size_t row, size_t channel, float* block) {
  const float* residual = e.residual == nullptr ? nullptr : e.residual + row * e.residual_stride + channel;
  return {.sums = nullptr,
          .sums_stride = 0,
          .row_scale = e.row_scale == nullptr ? nullptr : e.row_scale + row,
          .channel_scale = e.channel_scale == nullptr ? kOnes.data() : e.channel_scale + channel,
          .bias = e.bias == nullptr ? kMinusZeros.data() : e.bias + channel,
          .residual = residual,
          .values = e.values == nullptr ? block : e.values + row * e.stride + channel,
          .values_stride = e.values == nullptr ? 64 : e.stride,
          .epilogue = &e};
}

struct Segments {
  size_t begin, end;
};

// Those that any of the rows needs: at an image's upper and lower edge some are padding. Level 0 is 128 where shifted,
// which the channels' sums count in.
Segments segments_of(const MatmulTask& task, size_t row, size_t rows) {
  if (task.x_shifted) return {0, task.windows->count};
  Segments used{task.windows->count, 0};
  for (size_t m = row; m < row + rows; ++m) {
    const WindowRow& one = task.windows->rows[m];
    if (one.begin < used.begin) used.begin = one.begin;
    if (one.end > used.end) used.end = one.end;
  }
  if (used.begin > used.end) used.begin = used.end;
  return used;
}

// The block of rows that starts with `row` of `rows`, times one panel.
void run_block(const MatmulTask& task, const Rows& rows, size_t row, const Panel& panel) {
  static constexpr size_t kOneSegment = 0;
  const size_t left = rows.count - row, most = block_rows(task), count = left < most ? left : most;
  const size_t m = rows.begin + row;
  size_t panel_offset = 0;
  BlockInputs x{{}, &kOneSegment, 1, task.k / 4 * 4, rows.tails == nullptr ? nullptr : rows.tails + 4 * row};
  if (task.windows != nullptr) {
    const Segments used = segments_of(task, m, count);
    x.segments = task.windows->segments + used.begin, x.count = used.end - used.begin, x.inputs = task.windows->inputs;
    panel_offset = used.begin * x.inputs / 4 * 256;
    for (size_t i = 0; i < count; ++i) x.rows[i] = task.x + task.windows->rows[m + i].offset;
  } else {
    for (size_t i = 0; i < count; ++i) x.rows[i] = task.x + (m + i) * task.x_stride;
  }
  const auto multiply = [&](int table, const BlockResults& to) {
    const uint8_t* levels = panel.levels + static_cast<size_t>(table) * task.units * 512 + panel_offset;
    if (task.x_signed)
      kSignedBlocks[count - 1](x, levels, rows.starts + row, to);
    else
      kUnsignedBlocks[count - 1](x, levels, panel.starts[table], to);
  };
  const Epilogue& e = *task.epilogue;
  if (task.tables == 1 && panel.columns == 64 && e.sums == nullptr) {
    alignas(64) float values[kMostRows * 64];
    const BlockResults to = through_epilogue(e, m, panel.channel, values);
    multiply(0, to);
    if (e.sink != nullptr) e.sink(e.sink_context, {m, panel.channel, count, 64, to.values, to.values_stride});
    return;
  }

  alignas(64) int32_t sums[2][kMostRows * 64];
  for (int table = 0; table < task.tables; ++table) multiply(table, {.sums = sums[table], .sums_stride = 64});
  if (task.tables == 2)
    for (size_t i = 0; i < count * 64; i += 16)
      _mm512_store_si512(sums[0] + i, _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(sums[0] + i), 7),
                                                       _mm512_load_si512(sums[1] + i)));
  finish_block(e, sums[0], 64, m, count, panel.channel, panel.columns);
}

}  // namespace

size_t gemm_vnni_scratch_bytes(const MatmulTask& task, const MatmulRange& range) {
  return panels_at_once(task, range) * static_cast<size_t>(task.tables) * task.units * 512 +
         padded_rows(range) * (sizeof(int32_t) + 4);
}

void run_gemm_vnni(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  constexpr size_t kBlocksOfChunk = 8;
  const size_t table_bytes = task.units * 512, panel_bytes = static_cast<size_t>(task.tables) * table_bytes;
  const size_t at_once = panels_at_once(task, range);
  const bool stored = task.bits == 8 && task.tables == 1 && !task.x_signed;  // what decoding would copy
  const Rows rows = prepare_rows(task, range, scratch + at_once * panel_bytes);
  const size_t chunk = at_once == 1 ? rows.count : kBlocksOfChunk * block_rows(task);
  for (size_t first = range.panel_begin; first < range.panel_end; first += at_once) {
    for (size_t i = 0; !stored && i < at_once; ++i)
      for (int table = 0; table < task.tables; ++table)
        kDecode[task.bits - 2](task.panels + (first + i) * task.panel_bytes, task, table,
                               static_cast<char>(task.x_signed ? 0x80 : 0),
                               scratch + i * panel_bytes + static_cast<size_t>(table) * table_bytes);
    for (size_t begin = 0; begin < rows.count; begin += chunk)
      for (size_t i = 0; i < at_once; ++i) {
        const uint8_t* levels = stored ? task.panels + (first + i) * task.panel_bytes : scratch + i * panel_bytes;
        const Panel panel(task, first + i, levels);
        for (size_t row = begin; row < begin + chunk && row < rows.count; row += block_rows(task))
          run_block(task, rows, row, panel);
      }
  }
}

}  // namespace dnateq::kernels
