// What an encoder is to its list: plain data and functions, because the units are compiled for other instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/isa.h"
#include "kernels/encoder.h"

namespace dnateq::kernels {

// A *place* is how many levels a magnitude reaches: 0 is zero, n is level n - 1. Both signs share the thresholds, and
// the side with fewer levels stays at its last.
struct EncoderTables {
  size_t count = 0;         // thresholds: levels of the longer side
  uint8_t last_place[2]{};  // of x >= 0, of x < 0
  bool is_signed = true;    // the level bytes are int8_t
  // Bits of the smallest magnitude of each place; a NaN, which no number reaches, where there is none.
  alignas(64) uint32_t thresholds[256]{};
  alignas(64) uint8_t magnitudes[256]{};  // of the levels, by place

  // Cells: cell(x) is the low byte of fma(min(|x|, top), cell_scale, kCellMagic), rounded to nearest.
  size_t cells = 0;  // <= 256; 0: no width gives every cell one threshold at most
  float cell_scale = 0;
  float top = 0;                           // the last threshold: above it nothing is left to decide
  alignas(64) uint8_t first_place[256]{};  // by cell
  uint8_t readable_past_the_tables[4]{};   // gathers of four bytes end here
};

inline constexpr float kCellMagic = 0x1p23F;  // a float whose unit is one: its sum's last bits are an integer

struct EncoderKernel {
  const char* name;
  const char* isa;
  bool (*runs_on)(const CpuFeatures& cpu);
  const char* (*refusal)(const EncoderTables& tables);  // null: takes it
  void (*run)(const EncoderTables& tables, const EncoderRows& rows);
};

void encode_scalar(const EncoderTables& tables, const EncoderRows& rows);
#if defined(__x86_64__)
void encode_avx512(const EncoderTables& tables, const EncoderRows& rows);        // needs cells
void encode_avx2_compare(const EncoderTables& tables, const EncoderRows& rows);  // up to 32 thresholds
void encode_avx2_gather(const EncoderTables& tables, const EncoderRows& rows);   // needs cells
#endif

}  // namespace dnateq::kernels
