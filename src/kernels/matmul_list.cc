#include "kernels/matmul_list.h"

#include <fmt/format.h>

#include <cstdlib>

#include "dnateq/error.h"
#include "kernels/isa.h"

namespace dnateq::kernels {
namespace {

bool always() { return true; }
const char* takes_all(const MatmulProblem&) { return nullptr; }

#if defined(__x86_64__)
bool has_vnni() { return cpu().avx512_vbmi && cpu().avx512_vnni; }
bool has_amx() { return has_vnni() && cpu().amx_int8; }
// Two tables hold twice the accumulators: of four rows, 32 registers.
const char* takes_few_rows(const MatmulProblem& problem) {
  if (problem.m > 4) return "decoding for each row pays up to 4 rows only";
  if (problem.tables == 2 && problem.m > 2) return "with two level tables, registers hold the sums of 2 rows only";
  return nullptr;
}
#endif

// Fastest first; the reference, which takes everything everywhere, last.
constexpr MatmulKernel kKernels[] = {
#if defined(__x86_64__)
    {"gemv-vnni", "AVX-512 VNNI and VBMI", has_vnni, takes_few_rows, gemv_vnni_scratch_bytes, run_gemv_vnni, 4},
    {"amx", "AMX INT8", has_amx, takes_all, amx_scratch_bytes, run_amx, 32},
    {"gemm-vnni", "AVX-512 VNNI and VBMI", has_vnni, takes_all, gemm_vnni_scratch_bytes, run_gemm_vnni, 6},
#endif
    {"scalar", "C++", always, takes_all, scalar_scratch_bytes, run_scalar, 16},
};

std::string names() {
  std::string all;
  for (const MatmulKernel& kernel : kKernels)
    if (kernel.cpu_runs_it()) all += (all.empty() ? "" : ", ") + std::string(kernel.name);
  return all;
}

const MatmulKernel* kernel_of_environment() {
  const char* name = std::getenv("DNATEQ_KERNEL");  // NOLINT(concurrency-mt-unsafe)
  return forced_kernel(name == nullptr ? "" : name);
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

const MatmulKernel& matmul_kernel_for(const MatmulProblem& problem) {
  static const MatmulKernel* const forced = kernel_of_environment();
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
