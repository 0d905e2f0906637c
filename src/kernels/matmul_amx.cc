// Many rows, AMX INT8: a panel is decoded once to tiles, then 32 rows x 32 channels (2 x 2 accumulator tiles) run over
// K in steps of 64. Tiles multiply signed by signed and unsigned by signed alike: nothing is shifted or corrected.
//
// Decoded layout: [k / 64][n / 16][k / 4 % 16][64 bytes]: a tile of 16 k-quads x 16 channels is 1 KiB in a row.
// Activations are loaded from where they lie, except for the last K % 64 inputs, which are copied and padded.
#include "kernels/avx512_common.h"

namespace dnateq::kernels {
namespace {

constexpr size_t kStep = 64, kTileBytes = 1024, kBlockRows = 32;

// Tiles: 0 ... 3 the sums [row half][channel half], 4 and 5 activations, 6 and 7 levels.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// The compiler's own tile intrinsics do not say that they read memory.
#define TILE_LOAD(tile, base, stride) \
  asm volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(base), "r"(stride) : "memory")
#define TILE_STORE(tile, base, stride) \
  asm volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(base), "r"(stride) : "memory")
#define TILE_ZERO(tile) asm volatile("tilezero %%tmm" #tile ::)
#define TILE_DOT(name, sum, x, levels) asm volatile(name " %%tmm" #levels ", %%tmm" #x ", %%tmm" #sum ::)

void configure(size_t first_rows, size_t second_rows) {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) config.row_bytes[tile] = 64, config.rows[tile] = 16;
  const auto first = static_cast<uint8_t>(first_rows),
             second = static_cast<uint8_t>(second_rows == 0 ? 1 : second_rows);
  config.rows[0] = config.rows[1] = config.rows[4] = first;
  config.rows[2] = config.rows[3] = config.rows[5] = second;
  asm volatile("ldtilecfg %0" ::"m"(config));
}

template <int kBits>
void decode_panel(const uint8_t* unit, const MatmulTask& task, int table, uint8_t* levels) {
  const LevelTable<kBits> lookup(task.levels[table], 0);
  for (size_t u = 0; u < task.units; ++u, unit += task.unit_bytes) {
    uint8_t* const to = levels + u / 8 * (4 * kTileBytes) + u % 8 * 128;
    __m512i codes[8];
    if constexpr (kBits < 8) unpack_lines<kBits>(unit, codes);
    for (int i = 0; i < 8; ++i) {
      __m512i decoded;
      if constexpr (kBits == 8)
        decoded = load_line(unit + 64 * (8 * table + i));
      else
        decoded = lookup[codes[i]];
      _mm512_store_si512(to + static_cast<size_t>(i % 4) * kTileBytes + 64 * (i / 4), decoded);
    }
  }
  // Units that fill up the last step of K.
  for (size_t u = task.units; u % 8 != 0; ++u)
    for (size_t i = 0; i < 8; ++i)
      _mm512_store_si512(levels + u / 8 * (4 * kTileBytes) + u % 8 * 128 + i % 4 * kTileBytes + 64 * (i / 4),
                         _mm512_setzero_si512());
}

using DecodePanel = void (*)(const uint8_t*, const MatmulTask&, int, uint8_t*);
constexpr DecodePanel kDecode[] = {decode_panel<2>, decode_panel<3>, decode_panel<4>, decode_panel<5>,
                                   decode_panel<6>, decode_panel<7>, decode_panel<8>};

// Adds `steps` of K to the sums of 32 (or, without the second half, 16) rows x 32 channels.
template <bool kSigned, bool kBothHalves>
inline __attribute__((always_inline)) void steps_of(const uint8_t* x, size_t stride, const uint8_t* levels,
                                                    size_t steps) {
  const uint8_t* lower = x + 16 * stride;
  for (size_t step = 0; step < steps; ++step, x += kStep, lower += kStep, levels += 4 * kTileBytes) {
    TILE_LOAD(6, levels, size_t{64});
    TILE_LOAD(4, x, stride);
    if constexpr (kSigned) {
      TILE_DOT("tdpbssd", 0, 4, 6);
    } else {
      TILE_DOT("tdpbusd", 0, 4, 6);
    }
    TILE_LOAD(7, levels + kTileBytes, size_t{64});
    if constexpr (kSigned) {
      TILE_DOT("tdpbssd", 1, 4, 7);
    } else {
      TILE_DOT("tdpbusd", 1, 4, 7);
    }
    if constexpr (kBothHalves) {
      TILE_LOAD(5, lower, stride);
      if constexpr (kSigned) {
        TILE_DOT("tdpbssd", 2, 5, 6);
        TILE_DOT("tdpbssd", 3, 5, 7);
      } else {
        TILE_DOT("tdpbusd", 2, 5, 6);
        TILE_DOT("tdpbusd", 3, 5, 7);
      }
    }
  }
}

struct Block {
  const uint8_t *x, *tail;  // first row; its last K % 64 inputs, padded to 64, rows 64 apart
  size_t x_stride, steps;   // whole steps
  bool has_tail, is_signed, both_halves;
};

template <bool kSigned, bool kBothHalves>
void multiply_as(const Block& block, const uint8_t* levels, int32_t* sums, size_t sums_stride) {
  TILE_ZERO(0);
  TILE_ZERO(1);
  if constexpr (kBothHalves) {
    TILE_ZERO(2);
    TILE_ZERO(3);
  }
  steps_of<kSigned, kBothHalves>(block.x, block.x_stride, levels, block.steps);
  if (block.has_tail) steps_of<kSigned, kBothHalves>(block.tail, kStep, levels + block.steps * (4 * kTileBytes), 1);
  const size_t row_bytes = sums_stride * sizeof(int32_t);
  TILE_STORE(0, sums, row_bytes);
  TILE_STORE(1, sums + 16, row_bytes);
  if constexpr (kBothHalves) {
    TILE_STORE(2, sums + 16 * sums_stride, row_bytes);
    TILE_STORE(3, sums + 16 * sums_stride + 16, row_bytes);
  }
}

// sums [32 rows][32 channels], `sums_stride` apart.
void multiply(const Block& block, const uint8_t* levels, int32_t* sums, size_t sums_stride) {
  if (block.is_signed)
    return block.both_halves ? multiply_as<true, true>(block, levels, sums, sums_stride)
                             : multiply_as<true, false>(block, levels, sums, sums_stride);
  return block.both_halves ? multiply_as<false, true>(block, levels, sums, sums_stride)
                           : multiply_as<false, false>(block, levels, sums, sums_stride);
}

size_t all_steps(const MatmulTask& task) { return (task.k + kStep - 1) / kStep; }

}  // namespace

size_t amx_scratch_bytes(const MatmulTask& task, const MatmulRange& range) {
  return static_cast<size_t>(task.tables) * all_steps(task) * 4 * kTileBytes +
         (range.row_end - range.row_begin) * kStep;
}

void run_amx(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  const size_t rows = range.row_end - range.row_begin, level_bytes = all_steps(task) * 4 * kTileBytes;
  uint8_t* const levels = scratch;
  uint8_t* const tails = scratch + static_cast<size_t>(task.tables) * level_bytes;
  const size_t steps = task.k / kStep, tail = task.k % kStep;
  if (tail != 0)
    for (size_t row = 0; row < rows; ++row) {
      const uint8_t* x = task.x + (range.row_begin + row) * task.x_stride + steps * kStep;
      _mm512_store_si512(tails + row * kStep, _mm512_maskz_loadu_epi8((__mmask64{1} << tail) - 1, x));
    }

  const size_t whole = rows / kBlockRows * kBlockRows;
  for (size_t panel = range.panel_begin; panel < range.panel_end; ++panel) {
    for (int table = 0; table < task.tables; ++table)
      kDecode[task.bits - 2](task.panels + panel * task.panel_bytes, task, table,
                             levels + static_cast<size_t>(table) * level_bytes);
    const size_t channel = panel * 64, columns = task.n - channel < 64 ? task.n - channel : 64;
    for (size_t row = 0; row < rows; row += kBlockRows) {
      const size_t count = rows - row < kBlockRows ? rows - row : kBlockRows;
      if (row == 0 || row == whole) configure(count < 16 ? count : 16, count > 16 ? count - 16 : 0);
      const Block block{task.x + (range.row_begin + row) * task.x_stride,
                        tails + row * kStep,
                        task.x_stride,
                        steps,
                        tail != 0,
                        task.x_signed,
                        count > 16};
      for (size_t half = 0; half < columns; half += 32) {
        alignas(64) int32_t sums[2][kBlockRows * 32];
        for (int table = 0; table < task.tables; ++table)
          multiply(block, levels + static_cast<size_t>(table) * level_bytes + half / 16 * kTileBytes, sums[table], 32);
        if (task.tables == 2)
          for (size_t i = 0; i < count * 32; i += 16)
            _mm512_store_si512(sums[0] + i, _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(sums[0] + i), 7),
                                                             _mm512_load_si512(sums[1] + i)));
        const size_t width = columns - half < 32 ? columns - half : 32;
        finish_block(*task.epilogue, sums[0], 32, range.row_begin + row, count, channel + half, width);
      }
    }
  }
  asm volatile("tilerelease" ::);
}

}  // namespace dnateq::kernels
