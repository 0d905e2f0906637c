// Packing of codes, 1 ... 8 bits each, into bytes: little-endian bit order, code i occupies bits [i*k, i*k + k).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dnateq {

constexpr size_t packed_bytes(size_t codes, int bits) { return (codes * static_cast<size_t>(bits) + 7) / 8; }

std::vector<uint8_t> pack(std::span<const uint8_t> codes, int bits);
// Throws Error if `packed` is shorter than packed_bytes(count, bits).
std::vector<uint8_t> unpack(std::span<const uint8_t> packed, size_t count, int bits);
// Codes [first, first + count) into `codes`, eight at a time where they begin with a byte. Throws as unpack() does.
void unpack_range(std::span<const uint8_t> packed, size_t first, size_t count, int bits, uint8_t* codes);

// Float16, round to nearest even; values beyond its range become infinities.
uint16_t to_float16(float value);
float from_float16(uint16_t bits);
// Whether it can be a channel's scale: finite and not 0.
constexpr bool is_scale(uint16_t float16) { return (float16 & 0x7fff) != 0 && (float16 & 0x7c00) != 0x7c00; }

}  // namespace dnateq
