// "amx": the product on tiles of AMX int8, for more rows than the kernels that decode in registers take.
//
// A panel's codes become levels in tile layout in scratch, once a task: for every 64 inputs ("k block") 4 tiles a
// table of 16 rows (4 inputs each) x 16 channels, tile i = tables * (n / 16) + table. Activations go into tiles
// straight from their rows. Blocks of 32 rows x 2 tiles keep 4 sums in flight for 4 tile loads a step; the first block,
// 16 rows x 4 tiles, decodes the panel while it multiplies. The epilogue of a block runs between the tile products of
// the next one: the tile unit is busy 16 cycles a product and leaves the vector units free.
//
// Source: ours; tiles as the Intel 64 manual defines them. Compiled for AMX and AVX-512 VBMI: everything here is local
// to the unit.
#include "kernels/matmul_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/packed_weights.h"
#include "kernels/x86/avx512_common.h"

namespace dnateq::kernels {
namespace {

constexpr size_t kTileRows = 16, kTileRowBytes = 64, kTileBytes = kTileRows * kTileRowBytes;
constexpr size_t kBlockRows = 2 * kTileRows;
constexpr size_t kInputsOfBlock = 64;
constexpr size_t kUnitsOfBlock = kInputsOfBlock / kUnitInputs;

size_t k_blocks(const MatmulTask& task) { return (task.k + kInputsOfBlock - 1) / kInputsOfBlock; }
size_t tiles_of_block(const MatmulTask& task) { return 4 * static_cast<size_t>(task.tables); }
size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// The compiler's tile instructions declare no memory: this keeps stores before the tile loads that read them.
inline void stores_before_tile_loads() { asm volatile("" ::: "memory"); }

// ---- decoding ----

// Levels of 64 inputs x 64 channels, in tile layout; zeros beyond the last unit.
template <int kBits, int kTables>
void decode_k_block(const MatmulTask& task, const uint8_t* panel, size_t block, uint8_t* tiles) {
  constexpr size_t kGroupBytes = kTileRowBytes;
  [[maybe_unused]] __m512i first[kTables], second[kTables];
  if constexpr (kBits < 8) {
    for (int table = 0; table < kTables; ++table) {
      first[table] = _mm512_loadu_si512(task.levels[table]);
      if constexpr (kBits == 7) second[table] = _mm512_loadu_si512(task.levels[table] + 64);
    }
  }
  const size_t begin = block * kUnitsOfBlock, units = smaller(kUnitsOfBlock, task.units - begin);
  const uint8_t* unit = panel + begin * task.unit_bytes;
  for (size_t i = 0; i < kUnitsOfBlock; ++i, unit += task.unit_bytes) {
    [[maybe_unused]] __m512i codes[8];
    if constexpr (kBits < 8) {
      if (i < units) unpack_lines<kBits>(unit, codes);
    }
    for (size_t table = 0; table < kTables; ++table)
      for (size_t v = 0; v < 8; ++v) {
        __m512i levels = _mm512_setzero_si512();
        if (i < units) {
          if constexpr (kBits == 8)
            levels = _mm512_load_si512(unit + (8 * table + v) * kLineBytes);
          else if constexpr (kBits == 7)
            levels = _mm512_permutex2var_epi8(first[table], codes[v], second[table]);
          else
            levels = _mm512_permutexvar_epi8(codes[v], first[table]);
        }
        _mm512_store_si512(tiles + (v % 4 * kTables + table) * kTileBytes + (2 * i + v / 4) * kGroupBytes, levels);
      }
  }
}

using Decode = void (*)(const MatmulTask& task, const uint8_t* panel, size_t block, uint8_t* tiles);

template <int kTables>
Decode decode_of(int bits) {
  switch (bits) {
    case 2:
      return decode_k_block<2, kTables>;
    case 3:
      return decode_k_block<3, kTables>;
    case 4:
      return decode_k_block<4, kTables>;
    case 5:
      return decode_k_block<5, kTables>;
    case 6:
      return decode_k_block<6, kTables>;
    case 7:
      return decode_k_block<7, kTables>;
    default:
      return decode_k_block<8, kTables>;
  }
}

// ---- epilogue ----

// Finishes the sums of one block while the next one is multiplied.
class Finisher {
 public:
  explicit Finisher(const MatmulTask& task) : task_(task), epilogue_(*task.epilogue) {}

  // `sums`: rows x tiles x 16.
  void begin(const int32_t* sums, size_t row, size_t rows, size_t channel, size_t steps) {
    sums_ = sums, row_ = row, row_end_ = row + rows, channel_ = channel;
    columns_ = smaller(kPanelChannels, task_.n - channel);
    rows_of_step_ = (rows + steps - 1) / steps;
  }
  void step() {
    for (size_t i = 0; i < rows_of_step_ && row_ < row_end_; ++i) finish_row();
  }
  void finish() {
    while (row_ < row_end_) finish_row();
  }

 private:
  __m512i sums(size_t j) const {
    if (task_.tables == 1) return _mm512_load_si512(sums_ + 16 * j);
    const __m512i high = _mm512_load_si512(sums_ + 32 * j), low = _mm512_load_si512(sums_ + 32 * j + 16);
    return _mm512_add_epi32(_mm512_slli_epi32(high, 7), low);
  }

  // In the order and roundings of finish_block_scalar(): absent factors are 1, absent summands -0, which change
  // nothing.
  void finish_row() {
    const size_t m = row_++;
    alignas(64) float block[kPanelChannels];
    const Epilogue& e = epilogue_;
    const __m512 row_scale = _mm512_set1_ps(e.row_scale != nullptr ? e.row_scale[m] : 1.0F);
    for (size_t j = 0; 16 * j < columns_; ++j) {
      const size_t n = channel_ + 16 * j, count = smaller(16, columns_ - 16 * j);
      const auto mask = static_cast<__mmask16>((1U << count) - 1);
      const __m512i sum = sums(j);
      if (e.sums != nullptr) {
        _mm512_mask_storeu_epi32(e.sums + m * e.stride + n, mask, sum);
        continue;
      }
      __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), row_scale);
      if (e.channel_scale != nullptr) y = _mm512_mul_ps(y, _mm512_maskz_loadu_ps(mask, e.channel_scale + n));
      if (e.bias != nullptr) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, e.bias + n));
      if (e.residual != nullptr)
        y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, e.residual + m * e.residual_stride + n));
      // vmaxps and vminps give their second operand for NaN and for equal zeros, as the reference's comparisons do.
      if (e.activation == Activation::kRelu) y = _mm512_max_ps(y, _mm512_setzero_ps());
      if (e.activation == Activation::kClamp)
        y = _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps(e.lowest)), _mm512_set1_ps(e.highest));
      if (e.sink != nullptr) _mm512_store_ps(block + 16 * j, y);
      if (e.values != nullptr) _mm512_mask_storeu_ps(e.values + m * e.stride + n, mask, y);
    }
    if (e.sink != nullptr) e.sink(e.sink_context, {m, channel_, 1, columns_, block, kPanelChannels});
    sums_ += kPanelChannels * static_cast<size_t>(task_.tables);
  }

  const MatmulTask& task_;
  const Epilogue epilogue_;
  const int32_t* sums_ = nullptr;
  size_t row_ = 0, row_end_ = 0, channel_ = 0, columns_ = 0, rows_of_step_ = 1;
};

// ---- tiles ----

// Operand of ldtilecfg. Tiles 0 ... 3 are sums, 4 and 5 activations, 6 and 7 weights.
struct TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

// A pass multiplies either 2 x 2 tiles (`upper` + `lower` rows) or 1 x 4 (`upper` == `lower`: the same rows).
void configure(size_t upper, size_t lower) {
  TileConfig config;
  for (const int tile : {0, 1, 4}) config.rows[tile] = static_cast<uint8_t>(upper);
  for (const int tile : {2, 3, 5}) config.rows[tile] = static_cast<uint8_t>(lower);
  asm volatile("ldtilecfg %0" : : "m"(config));
}

// Rows of activations by k block; the last k block, if it is not whole, from a copy padded with zeros.
struct Rows {
  const uint8_t* first;
  size_t stride;
  size_t whole_blocks;
  const uint8_t* rest;

  const uint8_t* at(size_t block) const { return block < whole_blocks ? first + block * kInputsOfBlock : rest; }
  size_t stride_at(size_t block) const { return block < whole_blocks ? stride : kInputsOfBlock; }
};

void copy_rest(const MatmulTask& task, size_t row, size_t rows, uint8_t* rest) {
  const size_t inputs = task.k % kInputsOfBlock;
  if (inputs == 0) return;
  const auto mask = static_cast<__mmask64>((uint64_t{1} << inputs) - 1);
  const uint8_t* from = task.x + row * task.x_stride + task.k - inputs;
  for (size_t i = 0; i < rows; ++i, from += task.x_stride)
    _mm512_store_si512(rest + i * kInputsOfBlock, _mm512_maskz_loadu_epi8(mask, from));
}

#define DNATEQ_TILE_PRODUCT(sum, x, w) \
  do {                                 \
    if constexpr (kSigned)             \
      _tile_dpbssd(sum, x, w);         \
    else                               \
      _tile_dpbusd(sum, x, w);         \
  } while (false)

struct Weights {
  uint8_t* tiles;     // of the pass's first k block
  size_t block_step;  // bytes from k block to k block
  size_t blocks;
};

void clear_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

template <bool kSigned>
void multiply_2x2(const Rows& x, const Weights& w, int32_t* sums, size_t sums_stride, Finisher& finisher) {
  clear_sums();
  const uint8_t* tiles = w.tiles;
  for (size_t block = 0; block < w.blocks; ++block, tiles += w.block_step) {
    const uint8_t* rows = x.at(block);
    const size_t stride = x.stride_at(block);
    _tile_loadd(6, tiles, kTileRowBytes);
    _tile_loadd(4, rows, stride);
    DNATEQ_TILE_PRODUCT(0, 4, 6);
    _tile_loadd(7, tiles + kTileBytes, kTileRowBytes);
    DNATEQ_TILE_PRODUCT(1, 4, 7);
    _tile_loadd(5, rows + kTileRows * stride, stride);
    DNATEQ_TILE_PRODUCT(2, 5, 6);
    DNATEQ_TILE_PRODUCT(3, 5, 7);
    finisher.step();
  }
  const size_t stride = sums_stride * sizeof(int32_t);
  _tile_stored(0, sums, stride);
  _tile_stored(1, sums + 16, stride);
  _tile_stored(2, sums + kTileRows * sums_stride, stride);
  _tile_stored(3, sums + kTileRows * sums_stride + 16, stride);
}

// `decode(block)` makes the tiles of a k block some blocks ahead, or does nothing.
template <bool kSigned, typename DecodeAhead>
void multiply_1x4(const Rows& x, const Weights& w, int32_t* sums, size_t sums_stride, Finisher& finisher,
                  const DecodeAhead& decode) {
  // Tile loads wait for stores to reach the cache, so that the block after next is decoded.
  constexpr size_t kAhead = 2;
  for (size_t block = 0; block < kAhead; ++block) decode(block);
  clear_sums();
  const uint8_t* tiles = w.tiles;
  for (size_t block = 0; block < w.blocks; ++block, tiles += w.block_step) {
    stores_before_tile_loads();
    _tile_loadd(4, x.at(block), x.stride_at(block));
    _tile_loadd(6, tiles, kTileRowBytes);
    DNATEQ_TILE_PRODUCT(0, 4, 6);
    _tile_loadd(7, tiles + kTileBytes, kTileRowBytes);
    DNATEQ_TILE_PRODUCT(1, 4, 7);
    _tile_loadd(6, tiles + 2 * kTileBytes, kTileRowBytes);
    DNATEQ_TILE_PRODUCT(2, 4, 6);
    _tile_loadd(7, tiles + 3 * kTileBytes, kTileRowBytes);
    DNATEQ_TILE_PRODUCT(3, 4, 7);
    decode(block + kAhead);
    finisher.step();
  }
  const size_t stride = sums_stride * sizeof(int32_t);
  _tile_stored(0, sums, stride);
  _tile_stored(1, sums + 16, stride);
  _tile_stored(2, sums + 32, stride);
  _tile_stored(3, sums + 48, stride);
}

// ---- a task ----

struct Scratch {
  uint8_t* tiles;    // k blocks x tiles
  int32_t* sums[2];  // two blocks: one is multiplied, one is finished
  uint8_t* rest;     // block rows x 64
};

size_t sums_of_block(const MatmulTask& task) { return kBlockRows * tiles_of_block(task) * 16; }

template <bool kSigned>
void run_signedness(const MatmulTask& task, const MatmulRange& range, const Scratch& scratch) {
  const Decode decode = task.tables == 1 ? decode_of<1>(task.bits) : decode_of<2>(task.bits);
  const size_t blocks = k_blocks(task), tiles = tiles_of_block(task), step = tiles * kTileBytes;
  size_t upper = 0, lower = 0;  // as configured
  size_t buffer = 0;
  Finisher finisher(task);
  for (size_t panel = range.panel_begin; panel < range.panel_end; ++panel) {
    for (size_t row = range.row_begin, rows = 0; row < range.row_end; row += rows) {
      const bool first = row == range.row_begin;
      rows = smaller(first ? kTileRows : kBlockRows, range.row_end - row);
      const bool pairs = rows > kTileRows;
      const size_t upper_rows = smaller(rows, kTileRows), lower_rows = pairs ? rows - kTileRows : rows;
      if (upper_rows != upper || lower_rows != lower) configure(upper = upper_rows, lower = lower_rows);

      copy_rest(task, row, rows, scratch.rest);
      const Rows x{task.x + row * task.x_stride, task.x_stride, task.k / kInputsOfBlock, scratch.rest};
      // Whole sums that nothing is applied to go where they belong at once: 1.2x on 3136 x 576 x 64.
      const size_t channel = panel * kPanelChannels;
      const Epilogue& e = *task.epilogue;
      const bool direct = e.sums != nullptr && task.tables == 1 && task.n - channel >= kPanelChannels;
      int32_t* sums = direct ? e.sums + row * e.stride + channel : scratch.sums[buffer];
      const size_t sums_stride = direct ? e.stride : 16 * tiles;
      stores_before_tile_loads();
      for (size_t tile = 0; tile < tiles; tile += pairs ? 2 : 4) {
        const Weights w{scratch.tiles + tile * kTileBytes, step, blocks};
        if (pairs) {
          multiply_2x2<kSigned>(x, w, sums + 16 * tile, sums_stride, finisher);
        } else if (first && tile == 0) {
          const uint8_t* codes = task.panels + panel * task.panel_bytes;
          multiply_1x4<kSigned>(x, w, sums + 16 * tile, sums_stride, finisher, [&](size_t block) {
            if (block < blocks) decode(task, codes, block, scratch.tiles + block * step);
          });
        } else {
          multiply_1x4<kSigned>(x, w, sums + 16 * tile, sums_stride, finisher, [](size_t) {});
        }
      }
      finisher.finish();
      if (direct) continue;
      finisher.begin(sums, row, rows, channel, blocks * tiles / (pairs ? 2 : 4));
      buffer ^= 1;
    }
  }
  finisher.finish();
  _tile_release();
}

#undef DNATEQ_TILE_PRODUCT

}  // namespace

size_t amx_scratch_bytes(const MatmulTask& task, const MatmulRange&) {
  return k_blocks(task) * tiles_of_block(task) * kTileBytes + 2 * sums_of_block(task) * sizeof(int32_t) +
         kBlockRows * kInputsOfBlock;
}

void run_amx(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  Scratch parts{};
  parts.tiles = scratch;
  scratch += k_blocks(task) * tiles_of_block(task) * kTileBytes;
  for (int32_t*& sums : parts.sums) {
    sums = reinterpret_cast<int32_t*>(scratch);
    scratch += sums_of_block(task) * sizeof(int32_t);
  }
  parts.rest = scratch;
  if (task.x_signed)
    run_signedness<true>(task, range, parts);
  else
    run_signedness<false>(task, range, parts);
}

}  // namespace dnateq::kernels

#endif
