#include "core/pack.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "dnateq/error.h"

namespace dnateq {
namespace {

void check_bits(int bits) {
  if (bits < 1 || bits > 8)
    throw Error(fmt::format("codes of {} bits cannot be packed, 1 to 8 are supported; quantize the model again", bits));
}

// Dividing, because count * bits of a damaged file may overflow.
void check_room(std::span<const uint8_t> packed, size_t count, int bits) {
  if (count > packed.size() * 8 / static_cast<size_t>(bits))
    throw Error(fmt::format("{} codes of {} bits do not lie in {} bytes; the weight file is damaged, emit it again",
                            count, bits, packed.size()));
}

// Brings the 8 codes that lie one behind the other in the low bits of a word into a byte each: the upper half of them
// moves to the upper half of the word, then so within halves and quarters. Bits behind the codes are dropped.
class EightCodes {
 public:
  explicit EightCodes(int bits) : bits_(bits) {
    for (int step = 0; step < 3; ++step) {
      const int codes = 4 >> step, lanes = 1 << step;  // codes that stay, in each of so many lanes
      for (int lane = 0; lane < lanes; ++lane)
        stay_[step] |= ((uint64_t{1} << (codes * bits)) - 1) << (64 / lanes * lane);
    }
  }

  uint64_t spread(uint64_t stream) const {
    for (int step = 0; step < 3; ++step) {
      const int codes = 4 >> step, half = 32 >> step;
      const uint64_t moves = stream >> (codes * bits_) & stay_[step];
      stream = (stream & stay_[step]) | moves << half;
    }
    return stream;
  }

 private:
  int bits_;
  uint64_t stay_[3] = {};
};

}  // namespace

std::vector<uint8_t> pack(std::span<const uint8_t> codes, int bits) {
  check_bits(bits);
  std::vector<uint8_t> packed(packed_bytes(codes.size(), bits));
  size_t next = 0;
  uint32_t window = 0;  // bits not yet written, the oldest lowest; never more than 7 + 8
  int filled = 0;
  for (const uint8_t code : codes) {
    // A code that is too wide would change its neighbours.
    if ((code >> bits) != 0)
      throw Error(fmt::format("code {} does not fit {} bits; quantize the model again", code, bits));
    window |= static_cast<uint32_t>(code) << filled;
    filled += bits;
    if (filled >= 8) {
      packed[next++] = static_cast<uint8_t>(window);
      window >>= 8;
      filled -= 8;
    }
  }
  if (filled > 0) packed[next] = static_cast<uint8_t>(window);
  return packed;
}

std::vector<uint8_t> unpack(std::span<const uint8_t> packed, size_t count, int bits) {
  check_bits(bits);
  check_room(packed, count, bits);
  std::vector<uint8_t> codes(count);
  unpack_range(packed, 0, count, bits, codes.data());
  return codes;
}

void unpack_range(std::span<const uint8_t> packed, size_t first, size_t count, int bits, uint8_t* codes) {
  check_bits(bits);
  check_room(packed, first, bits);
  check_room(packed, first > SIZE_MAX - count ? SIZE_MAX : first + count, bits);
  const auto width = static_cast<size_t>(bits);
  const uint32_t mask = (1U << bits) - 1;
  const auto one = [&](size_t i) {
    const size_t bit = i * width, byte = bit / 8;
    uint32_t window = packed[byte];
    if (bit % 8 + width > 8) window |= static_cast<uint32_t>(packed[byte + 1]) << 8;
    return static_cast<uint8_t>(window >> (bit % 8) & mask);
  };
  const size_t end = first + count;
  size_t i = first;
  for (; i < end && i % 8 != 0; ++i) *codes++ = one(i);
  const EightCodes eight(bits);
  for (; i + 8 <= end; i += 8, codes += 8) {
    uint64_t stream = 0;  // perhaps with codes behind the eight
    const size_t byte = i / 8 * width;
    if (byte + sizeof(stream) <= packed.size())
      std::memcpy(&stream, packed.data() + byte, sizeof(stream));
    else
      std::memcpy(&stream, packed.data() + byte, width);
    const uint64_t spread = eight.spread(stream);
    std::memcpy(codes, &spread, sizeof(spread));
  }
  for (; i < end; ++i) *codes++ = one(i);
}

uint16_t to_float16(float value) {
  constexpr uint32_t kInfinity32 = 0x7f800000;
  constexpr uint32_t kFirstInfinite = 0x477ff000;  // 65520: half a step above the largest float16, the tie goes up
  constexpr uint32_t kFirstNormal = 0x38800000;    // 2^-14
  constexpr uint32_t kBiasDifference = (127U - 15U) << 23;
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > kInfinity32) return static_cast<uint16_t>(sign | 0x7e00);
  if (magnitude >= kFirstInfinite) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < kFirstNormal) {
    // Float16 denormals are multiples of 2^-24, as float32 numbers in [0.5, 1) are: the addition rounds.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(aligned) - std::bit_cast<uint32_t>(0.5F)));
  }
  // 13 mantissa bits go. Adding one less than half a step, and one more where the kept number is odd, rounds to even;
  // the carry may run into the exponent, which is right.
  const uint32_t odd = (magnitude >> 13) & 1;
  return static_cast<uint16_t>(sign | ((magnitude - kBiasDifference + 0xfff + odd) >> 13));
}

float from_float16(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000U) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fU;
  const uint32_t mantissa = bits & 0x3ffU;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  const uint32_t exponent32 = exponent == 0x1f ? 0xff : exponent + (127 - 15);
  return std::bit_cast<float>(sign | exponent32 << 23 | mantissa << 13);
}

}  // namespace dnateq
