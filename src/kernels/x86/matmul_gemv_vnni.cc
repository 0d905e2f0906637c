// Few rows of activations (M <= 4): codes are decoded in registers, line by line of one ascending stream, and meet each
// row at once. The stream from memory is the bound, so fewer bits are time.
//
// Activations become u8 (signed ones by adding 128, which each channel's sum of levels takes back), so that one kernel
// serves both; the copy, padded to whole units, costs K bytes a row.
#include "core/isa.h"
#include "kernels/x86/avx512_common.h"

namespace dnateq::kernels {
namespace {

constexpr size_t kMostRows = 4;
// Bytes of codes fetched ahead. One row of 4096 x 4096 4-bit codes from memory takes 520 us with 2048 (540 with 1024,
// 596 with 4096), 765 without: the misses that fit into the window of a core that decodes are too few. A Zen 4 core,
// whose own prefetchers keep up, lost by it (545 -> 950 us): there the line that is read next anyway is named.
constexpr size_t kAhead = 2048;

inline __attribute__((always_inline)) void prefetch(const uint8_t* line) {
  asm volatile("prefetcht0 (%0)" ::"r"(line));
}

inline __attribute__((always_inline)) __m512i broadcast_quad(const uint8_t* bytes) {
  __m512i quad;
  asm("vpbroadcastd %1, %0" : "=v"(quad) : "m"(*reinterpret_cast<const uint8_t(*)[4]>(bytes)));
  return quad;
}

template <int kBits, int kTables, int kRows>
void gemv(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  const size_t padded = task.units * 8, ahead = cpu().intel ? kAhead : 0;
  const LevelTable<kBits> first(task.levels[0], 0), second(kTables == 2 ? task.levels[1] : task.levels[0], 0);
  for (size_t panel = range.panel_begin; panel < range.panel_end; ++panel) {
    const size_t channel = panel * 64;
    __m512i sums[kTables][kRows][4];
    for (int table = 0; table < kTables; ++table)
      for (int i = 0; i < 4; ++i) {
        __m512i start = _mm512_setzero_si512();
        if (task.x_signed)  // -128 * sum of the channel's levels
          start = _mm512_sub_epi32(
              start, _mm512_slli_epi32(_mm512_loadu_si512(task.channel_sums[table] + channel + 16 * i), 7));
        for (int row = 0; row < kRows; ++row) sums[table][row][i] = start;
      }

    const uint8_t* unit = task.panels + panel * task.panel_bytes;
    const uint8_t* const end = unit + task.panel_bytes;
    for (const uint8_t* x = scratch; unit != end; unit += task.unit_bytes, x += 8) {
      constexpr size_t kUnitBytes = kBits < 8 ? size_t{64} * kBits : size_t{512} * kTables;
      for (size_t line = 0; line < kUnitBytes; line += 64) prefetch(unit + line + ahead);
      __m512i codes[8];
      if constexpr (kBits < 8) unpack_lines<kBits>(unit, codes);
      for (int table = 0; table < kTables; ++table)
        for (int quad = 0; quad < 2; ++quad) {
          __m512i broadcast[kRows];
          for (int row = 0; row < kRows; ++row)
            broadcast[row] = broadcast_quad(x + static_cast<size_t>(row) * padded + 4 * quad);
          for (int i = 0; i < 4; ++i) {
            __m512i levels;
            if constexpr (kBits == 8)
              levels = load_line(unit + 64 * (8 * table + 4 * quad + i));
            else
              levels = table == 0 ? first[codes[4 * quad + i]] : second[codes[4 * quad + i]];
            for (int row = 0; row < kRows; ++row) dot(sums[table][row][i], broadcast[row], levels);
          }
        }
    }

    alignas(64) int32_t block[kRows][64];
    for (int row = 0; row < kRows; ++row)
      for (int i = 0; i < 4; ++i) {
        __m512i all = sums[0][row][i];
        if constexpr (kTables == 2) all = _mm512_add_epi32(_mm512_slli_epi32(all, 7), sums[1][row][i]);
        _mm512_store_si512(block[row] + 16 * i, all);
      }
    const size_t columns = task.n - channel < 64 ? task.n - channel : 64;
    finish_block(*task.epilogue, block[0], 64, range.row_begin, kRows, channel, columns);
  }
}

using Gemv = void (*)(const MatmulTask&, const MatmulRange&, uint8_t*);

template <int kBits, int kTables>
constexpr Gemv kByRows[kMostRows] = {gemv<kBits, kTables, 1>, gemv<kBits, kTables, 2>, gemv<kBits, kTables, 3>,
                                     gemv<kBits, kTables, 4>};
template <int kTables>
constexpr const Gemv* kByBits[] = {kByRows<2, kTables>, kByRows<3, kTables>, kByRows<4, kTables>, kByRows<5, kTables>,
                                   kByRows<6, kTables>, kByRows<7, kTables>, kByRows<8, kTables>};

void copy_row(const uint8_t* from, size_t count, size_t padded, char flip, uint8_t* to) {
  const __m512i flips = _mm512_set1_epi8(flip);
  for (size_t k = 0; k < padded; k += 64) {
    const size_t left = count > k ? count - k : 0, room = padded - k;
    const __mmask64 read = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
    const __mmask64 write = room >= 64 ? ~__mmask64{0} : (__mmask64{1} << room) - 1;
    const __m512i bytes = _mm512_maskz_loadu_epi8(read, from + k);
    _mm512_mask_storeu_epi8(to + k, write, _mm512_xor_si512(bytes, flips));  // padding meets levels of 0
  }
}

}  // namespace

size_t gemv_vnni_scratch_bytes(const MatmulTask& task, const MatmulRange&) { return kMostRows * task.units * 8; }

void run_gemv_vnni(const MatmulTask& task, const MatmulRange& range, uint8_t* scratch) {
  const size_t rows = range.row_end - range.row_begin, padded = task.units * 8;
  for (size_t row = 0; row < rows; ++row)
    copy_row(task.x + (range.row_begin + row) * task.x_stride, task.k, padded,
             static_cast<char>(task.x_signed ? 0x80 : 0), scratch + row * padded);
  const Gemv* by_rows = task.tables == 1 ? kByBits<1>[task.bits - 2] : kByBits<2>[task.bits - 2];
  by_rows[rows - 1](task, range, scratch);
}

}  // namespace dnateq::kernels
