#include "core/isa.h"

#include <gtest/gtest.h>

namespace dnateq {
namespace {

constexpr CpuFeatures kAll = {true, true, true, true, true, true, true, true};

TEST(Isa, ACapLeavesWhatACpuOfThatGenerationHas) {
  const CpuFeatures avx2 = capped(kAll, "AVX2");
  EXPECT_TRUE(avx2.intel && avx2.avx2);
  EXPECT_FALSE(avx2.avx_vnni || avx2.avx512 || avx2.avx512_vbmi || avx2.avx512_vnni || avx2.avx512_vpopcntdq ||
               avx2.amx_int8);
  EXPECT_TRUE(capped(kAll, "AVX2_VNNI").avx_vnni);
  EXPECT_FALSE(capped(kAll, "AVX2_VNNI").avx512 || capped(kAll, "AVX2_VNNI").avx512_vnni);
  const CpuFeatures avx512 = capped(kAll, "AVX512_CORE");
  EXPECT_TRUE(avx512.avx2 && avx512.avx512);
  EXPECT_FALSE(avx512.avx_vnni || avx512.avx512_vbmi || avx512.avx512_vnni || avx512.amx_int8);
  const CpuFeatures vnni = capped(kAll, "AVX512_CORE_VNNI");
  EXPECT_TRUE(vnni.avx512 && vnni.avx512_vnni);
  EXPECT_FALSE(vnni.avx512_vbmi || vnni.amx_int8);
  EXPECT_TRUE(capped(kAll, "AVX512_CORE_FP16").avx512_vbmi);
  EXPECT_FALSE(capped(kAll, "AVX512_CORE_FP16").amx_int8);
  EXPECT_FALSE(capped(kAll, "SSE41").avx2);
}

TEST(Isa, ACapGivesNothingAndNoCapTakesNothing) {
  for (const char* cap : {"", "ALL", "AVX512_CORE_AMX", "AVX512_CORE_AMX_FP16", "a name of tomorrow"}) {
    EXPECT_TRUE(capped(kAll, cap).amx_int8 && capped(kAll, cap).avx512_vbmi && capped(kAll, cap).avx_vnni) << cap;
    EXPECT_FALSE(capped({}, cap).avx2) << cap;
  }
}

}  // namespace
}  // namespace dnateq
