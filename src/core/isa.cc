#include "core/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace dnateq {
namespace {

#if defined(__x86_64__)

constexpr bool bit(uint32_t word, int index) { return ((word >> index) & 1U) != 0; }

struct Leaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  Leaf(uint32_t leaf, uint32_t subleaf) { __get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx); }
};

uint64_t saved_states() {  // xcr0
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

bool may_use_tiles() {
  // Linux saves the 8 KiB of tile data only for processes that ask; it refuses where a signal stack is too small.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

CpuFeatures detect() {
  CpuFeatures found;
  const Leaf vendor(0, 0), basic(1, 0), extended(7, 0), more(7, 1);
  found.intel = vendor.ebx == 0x756E6547;  // "Genu"
  if (!bit(basic.ecx, 27)) return found;   // no xgetbv
  const uint64_t states = saved_states();
  constexpr uint64_t kYmm = 0x6, kZmm = 0xE6, kTiles = 0x60000;
  const bool ymm = (states & kYmm) == kYmm, zmm = (states & kZmm) == kZmm, tiles = (states & kTiles) == kTiles;
  found.avx2 = ymm && bit(extended.ebx, 5) && bit(basic.ecx, 12) && bit(basic.ecx, 29);
  found.avx_vnni = found.avx2 && bit(more.eax, 4);
  found.avx512 = found.avx2 && zmm && bit(extended.ebx, 16) && bit(extended.ebx, 17) && bit(extended.ebx, 30) &&
                 bit(extended.ebx, 31);
  found.avx512_vbmi = found.avx512 && bit(extended.ecx, 1);
  found.avx512_vnni = found.avx512 && bit(extended.ecx, 11);
  found.avx512_vpopcntdq = found.avx512 && bit(extended.ecx, 14);
  found.amx_int8 = found.avx512 && tiles && bit(extended.edx, 24) && bit(extended.edx, 25) && may_use_tiles();
  return found;
}

#else

CpuFeatures detect() { return {}; }

#endif

}  // namespace

std::string cpu_name() {
#if defined(__x86_64__)
  constexpr uint32_t kFirst = 0x80000002, kLeaves = 3;
  if (__get_cpuid_max(0x80000000, nullptr) < kFirst + kLeaves - 1) return {};
  std::array<char, 16 * kLeaves + 1> text{};
  for (uint32_t i = 0; i < kLeaves; ++i) {
    const Leaf leaf(kFirst + i, 0);
    std::memcpy(&text[16 * i], &leaf, 16);
  }
  const std::string name = text.data();
  const size_t begin = name.find_first_not_of(' ');
  return begin == std::string::npos ? "" : name.substr(begin, name.find_last_not_of(' ') + 1 - begin);
#else
  return {};
#endif
}

std::string onednn_cap() {
  for (const char* name : {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"})
    if (const char* value = std::getenv(name)) return value;  // NOLINT(concurrency-mt-unsafe)
  return {};
}

CpuFeatures capped(CpuFeatures features, std::string_view cap) {
  const bool sse = cap == "SSE41" || cap == "AVX", avx2 = cap == "AVX2";
  const bool avx2_vnni = cap.starts_with("AVX2_VNNI"), avx512 = cap == "AVX512_CORE";
  const bool without_vbmi = cap == "AVX512_CORE_VNNI" || cap == "AVX512_CORE_BF16";
  const bool without_amx = cap == "AVX512_CORE_FP16" || cap.starts_with("AVX10_1") || cap.starts_with("AVX10_2");
  const bool no_avx512 = sse || avx2 || avx2_vnni;
  if (sse) features.avx2 = false;
  if (sse || avx2 || avx512) features.avx_vnni = false;
  if (no_avx512) features.avx512 = false;
  if (no_avx512 || avx512) features.avx512_vnni = false;
  if (no_avx512 || avx512 || without_vbmi) features.avx512_vbmi = features.avx512_vpopcntdq = features.amx_int8 = false;
  if (without_amx) features.amx_int8 = false;
  return features;
}

bool adds_products_exactly() { return cpu().avx512_vnni || cpu().avx_vnni; }

const CpuFeatures& cpu() {
  static const CpuFeatures features = capped(detect(), onednn_cap());
  return features;
}

const CpuFeatures& cpu_in_use() {
  static const CpuFeatures features = [] {
    const char* forced = std::getenv("DNATEQ_KERNEL");  // NOLINT(concurrency-mt-unsafe)
    const std::string_view name = forced == nullptr ? "" : forced;
    const CpuFeatures& all = cpu();
    if (name == "scalar") return CpuFeatures{.intel = all.intel};
    if (name == "avx2") return CpuFeatures{.intel = all.intel, .avx2 = all.avx2};
    if (name == "avxvnni") return CpuFeatures{.intel = all.intel, .avx2 = all.avx2, .avx_vnni = all.avx_vnni};
    return all;
  }();
  return features;
}

}  // namespace dnateq
