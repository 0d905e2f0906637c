// Many rows, AVX-512 VNNI: a panel is decoded once to levels (64 x K bytes, in the second-level cache), then blocks of
// 6 rows x 64 channels run over it: 24 accumulators, 4 registers of levels, one broadcast.
//
// vpdpbusd multiplies u8 by s8. Unsigned activations are the u8 beside s8 levels. Signed ones are the s8 beside levels
// + 128, which add 128 times the row's sum: the accumulators start at minus that.
#include "kernels/avx512_common.h"

namespace dnateq::kernels {
namespace {

constexpr size_t kBlockRows = 6;

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

inline __attribute__((always_inline)) __m512i broadcast_quad(const uint8_t* bytes) {
  __m512i quad;
  asm("vpbroadcastd %1, %0" : "=v"(quad) : "m"(*reinterpret_cast<const uint8_t(*)[4]>(bytes)));
  return quad;
}

// sums[row][64] += x (kRows rows) * levels, over `quads` times 4 inputs.
template <bool kSigned, int kRows>
void block(const uint8_t* x, size_t x_stride, const uint8_t* levels, size_t quads, int32_t* sums) {
  __m512i accumulators[kRows][4];
  for (int row = 0; row < kRows; ++row)
    for (int i = 0; i < 4; ++i) accumulators[row][i] = _mm512_load_si512(sums + 64 * row + 16 * i);
  for (size_t quad = 0; quad < quads; ++quad, x += 4, levels += 256) {
    __m512i w[4];
    for (int i = 0; i < 4; ++i) w[i] = load_line(levels + 64 * i);
    for (int row = 0; row < kRows; ++row) {
      const __m512i quad_of_row = broadcast_quad(x + static_cast<size_t>(row) * x_stride);
      for (int i = 0; i < 4; ++i) dot_quad<kSigned>(accumulators[row][i], w[i], quad_of_row);
    }
  }
  for (int row = 0; row < kRows; ++row)
    for (int i = 0; i < 4; ++i) _mm512_store_si512(sums + 64 * row + 16 * i, accumulators[row][i]);
}

using Block = void (*)(const uint8_t*, size_t, const uint8_t*, size_t, int32_t*);
template <bool kSigned>
constexpr Block kBlock[kBlockRows] = {block<kSigned, 1>, block<kSigned, 2>, block<kSigned, 3>,
                                      block<kSigned, 4>, block<kSigned, 5>, block<kSigned, 6>};

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

}  // namespace

size_t gemm_vnni_scratch_bytes(const MatmulTask& task, const MatmulRange& range) {
  return static_cast<size_t>(task.tables) * task.units * 512 + padded_rows(range) * (sizeof(int32_t) + 8);
}

void run_gemm_vnni(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  const size_t rows = range.row_end - range.row_begin, level_bytes = task.units * 512;
  uint8_t* const levels = scratch;
  auto* const starts = reinterpret_cast<int32_t*>(levels + static_cast<size_t>(task.tables) * level_bytes);
  uint8_t* const tails = reinterpret_cast<uint8_t*>(starts + padded_rows(range));  // the last K % 8 inputs, zero-padded
  const size_t quads = task.k / 4, tail = task.k % 4;
  for (size_t row = 0; row < rows; ++row) {
    const uint8_t* x = task.x + (range.row_begin + row) * task.x_stride;
    starts[row] = 0;
    if (task.x_signed)
      starts[row] = -128 * (task.row_sums != nullptr ? task.row_sums[range.row_begin + row] : sum_of_row(x, task.k));
    for (size_t i = 0; i < 4; ++i) tails[4 * row + i] = i < tail ? x[4 * quads + i] : uint8_t{0};
  }

  const Block* const blocks = task.x_signed ? kBlock<true> : kBlock<false>;
  for (size_t panel = range.panel_begin; panel < range.panel_end; ++panel) {
    for (int table = 0; table < task.tables; ++table)
      kDecode[task.bits - 2](task.panels + panel * task.panel_bytes, task, table,
                             static_cast<char>(task.x_signed ? 0x80 : 0),
                             levels + static_cast<size_t>(table) * level_bytes);
    const size_t channel = panel * 64, columns = task.n - channel < 64 ? task.n - channel : 64;
    for (size_t row = 0; row < rows; row += kBlockRows) {
      const size_t count = rows - row < kBlockRows ? rows - row : kBlockRows;
      alignas(64) int32_t sums[2][kBlockRows * 64];
      for (int table = 0; table < task.tables; ++table) {
        for (size_t i = 0; i < count; ++i)
          for (size_t n = 0; n < 64; n += 16)
            _mm512_store_si512(sums[table] + 64 * i + n, _mm512_set1_epi32(starts[row + i]));
        const uint8_t* table_levels = levels + static_cast<size_t>(table) * level_bytes;
        blocks[count - 1](task.x + (range.row_begin + row) * task.x_stride, task.x_stride, table_levels, quads,
                          sums[table]);
        if (tail != 0) blocks[count - 1](tails + 4 * row, 4, table_levels + 256 * quads, 1, sums[table]);
      }
      if (task.tables == 2)
        for (size_t i = 0; i < count * 64; i += 16)
          _mm512_store_si512(sums[0] + i, _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(sums[0] + i), 7),
                                                           _mm512_load_si512(sums[1] + i)));
      finish_block(*task.epilogue, sums[0], 64, range.row_begin + row, count, channel, columns);
    }
  }
}

}  // namespace dnateq::kernels
