#include "kernels/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace dnateq::kernels {
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

const CpuFeatures& cpu() {
  static const CpuFeatures features = detect();
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

}  // namespace dnateq::kernels
