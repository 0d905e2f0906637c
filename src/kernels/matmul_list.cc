#include "kernels/matmul_list.h"

#include <fmt/format.h>

#include <cstdlib>

#include "core/isa.h"
#include "dnateq/error.h"

namespace dnateq::kernels {
namespace {

bool always() { return true; }
const char* takes_all(const MatmulProblem&) { return nullptr; }

#if defined(__x86_64__)
bool runs_avx2() { return cpu().avx2; }
bool runs_avxvnni() { return cpu().avx_vnni; }
bool runs_avx512vnni() { return cpu().avx512 && cpu().avx512_vnni; }
bool runs_vnni() { return cpu().avx512_vbmi && cpu().avx512_vnni; }
bool runs_amx() { return cpu().amx_int8 && cpu().avx512_vbmi; }
// Two tables hold twice the accumulators: of four rows, 32 registers.
const char* refusal_of_gemv(const MatmulProblem& problem) {
  if (problem.m > 4) return "decoding for each row pays up to 4 rows only";
  if (problem.tables == 2 && problem.m > 2) return "with two level tables, registers hold the sums of 2 rows only";
  return nullptr;
}
const char* refusal_of_amx(const MatmulProblem& problem) {
  constexpr size_t kFewestRows = 5;  // 1 to 16 rows cost the same; up to 4 are for kernels that decode in registers
  return problem.m < kFewestRows ? "it takes 5 rows or more" : nullptr;
}
#endif

// Fastest first; the reference, which takes everything everywhere, last.
constexpr MatmulKernel kKernels[] = {
#if defined(__x86_64__)
    {"gemv-vnni", "AVX-512 VNNI and VBMI", runs_vnni, refusal_of_gemv, gemv_vnni_scratch_bytes, run_gemv_vnni, 4},
    {"amx", "AMX int8, AVX-512 VBMI", runs_amx, refusal_of_amx, amx_scratch_bytes, run_amx, 32},
    {"gemm-vnni", "AVX-512 VNNI and VBMI", runs_vnni, takes_all, gemm_vnni_scratch_bytes, run_gemm_vnni, 6, true},
    {"avx512vnni", "AVX-512 VNNI", runs_avx512vnni, takes_all, avx512vnni_scratch_bytes, run_avx512vnni, 24},
    {"avxvnni", "AVX-VNNI", runs_avxvnni, takes_all, avxvnni_scratch_bytes, run_avxvnni, 24},
    {"avx2", "AVX2", runs_avx2, takes_all, avx2_scratch_bytes, run_avx2, 16},
#endif
    {"scalar", "C++", always, takes_all, scalar_scratch_bytes, run_scalar, 16},
};

std::string names() {
  std::string all;
  for (const MatmulKernel& kernel : kKernels)
    if (kernel.cpu_runs_it()) all += (all.empty() ? "" : ", ") + std::string(kernel.name);
  return all;
}

}  // namespace

std::span<const MatmulKernel> matmul_kernels() { return kKernels; }

const MatmulKernel* forced_kernel(std::string_view forced) {
  if (forced.empty()) return nullptr;
  for (const MatmulKernel& kernel : kKernels) {
    if (forced != kernel.name) continue;
    if (!kernel.cpu_runs_it())
      throw Error(fmt::format("this CPU does not run kernel {} ({}); use one of {}", forced, kernel.isa, names()));
    return &kernel;
  }
  throw Error(fmt::format("no kernel is called {}; use one of {}", forced, names()));
}

const MatmulKernel& matmul_kernel_named(std::string_view name) {
  if (name.empty()) throw Error(fmt::format("a kernel without a name; use one of {}", names()));
  return *forced_kernel(name);
}

const MatmulKernel* kernel_of_environment() {
  static const MatmulKernel* const forced = [] {
    const char* name = std::getenv("DNATEQ_KERNEL");  // NOLINT(concurrency-mt-unsafe)
    return forced_kernel(name == nullptr ? "" : name);
  }();
  return forced;
}

const MatmulKernel& matmul_kernel_for(const MatmulProblem& problem) {
  const MatmulKernel* const forced = kernel_of_environment();
  if (forced != nullptr && forced->refusal(problem) == nullptr) return *forced;
  for (const MatmulKernel& kernel : kKernels)
    if (kernel.cpu_runs_it() && kernel.refusal(problem) == nullptr) return kernel;
  return kKernels[std::size(kKernels) - 1];
}

std::vector<KernelVerdict> explain_matmul(const MatmulProblem& problem) {
  const MatmulKernel* const first = &matmul_kernel_for(problem);
  std::vector<KernelVerdict> verdicts;
  bool chosen = false;
  for (const MatmulKernel& kernel : kKernels) {
    KernelVerdict verdict{kernel.name, kernel.isa, ""};
    const char* refusal = kernel.refusal(problem);
    if (!kernel.cpu_runs_it())
      verdict.refusal = "this CPU, or its operating system, lacks the instructions";
    else if (refusal != nullptr)
      verdict.refusal = refusal;
    else if (&kernel != first && !chosen)
      verdict.refusal = fmt::format("DNATEQ_KERNEL asks for {}", first->name);
    chosen = chosen || &kernel == first;
    verdicts.push_back(verdict);
  }
  return verdicts;
}

}  // namespace dnateq::kernels
