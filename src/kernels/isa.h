// What the CPU and the operating system let this process execute, found once by cpuid and xgetbv.
//
// A feature is true only if its registers are also saved by the system: AVX-512 on a kernel that does not switch zmm,
// or AMX without the permission that Linux asks for, is absent. Non-goals: choosing a kernel (matmul_list.cc).
#pragma once

namespace dnateq::kernels {

struct CpuFeatures {
  bool intel = false;             // for what was measured to differ by vendor, never for what can run
  bool avx2 = false;              // AVX2, FMA and F16C, which no AVX2 CPU lacks
  bool avx_vnni = false;          // 256-bit vpdpbusd without AVX-512
  bool avx512 = false;            // F, BW, DQ, VL
  bool avx512_vbmi = false;       // vpermb, vpermi2b
  bool avx512_vnni = false;       // vpdpbusd
  bool avx512_vpopcntdq = false;  // vpopcntq
  bool amx_int8 = false;          // tile registers, and the permission to use them
};

const CpuFeatures& cpu();

// What code chosen without a name may use: cpu(), but with DNATEQ_KERNEL=scalar, avx2 or avxvnni in the environment no
// more than a CPU on which that is the fastest matmul kernel: then encoders, pooling and the others follow it.
const CpuFeatures& cpu_in_use();

}  // namespace dnateq::kernels
