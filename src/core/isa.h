// What the CPU and the operating system let this process execute, found once by cpuid and xgetbv.
//
// A feature is true only if its registers are also saved by the system: AVX-512 on a kernel that does not switch zmm,
// or AMX without the permission that Linux asks for, is absent. Non-goals: choosing a kernel (matmul_list.cc).
#pragma once

#include <string>
#include <string_view>

namespace dnateq {

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

// Of the process: what the CPU has, less what onednn_cap() takes away. One cap holds for OpenVINO's kernels and ours.
const CpuFeatures& cpu();

// What code chosen without a name may use: cpu(), but with DNATEQ_KERNEL=scalar, avx2 or avxvnni in the environment no
// more than a CPU on which that is the fastest matmul kernel: then encoders, pooling and the others follow it.
const CpuFeatures& cpu_in_use();

// What is left of `features` under a cap by oneDNN's names: AVX2, AVX2_VNNI, AVX512_CORE, AVX512_CORE_VNNI (a CPU of
// that generation, without VBMI), AVX512_CORE_FP16, AVX512_CORE_AMX and so on; unknown names and "" take nothing.
CpuFeatures capped(CpuFeatures features, std::string_view cap);

// The CPU's name as it tells it, such as "AMD Ryzen 9 7950X 16-Core Processor"; empty if it does not.
std::string cpu_name();

// What caps the kernels of oneDNN, so OpenVINO's, and ours: ONEDNN_MAX_CPU_ISA or DNNL_MAX_CPU_ISA of the environment,
// such as "AVX2"; empty: nothing.
std::string onednn_cap();

// Whether OpenVINO's INT8 kernels sum products in 32 bits here, so that all levels are exact (core/pair_sums.h): the
// CPU has VNNI, and no cap takes it away.
bool adds_products_exactly();

}  // namespace dnateq
