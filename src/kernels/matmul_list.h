// The ordered list of matmul kernels and the choice from it.
#pragma once

#include <span>
#include <string_view>

#include "kernels/matmul.h"
#include "kernels/matmul_kernel.h"

namespace dnateq::kernels {

std::span<const MatmulKernel> matmul_kernels();

// The kernel that `forced` names, or null if empty; throws Error on a name that is none or that this CPU does not run.
const MatmulKernel* forced_kernel(std::string_view forced);
// DNATEQ_KERNEL's, or null; the variable is read once.
const MatmulKernel* kernel_of_environment();
// The first kernel that takes the problem, kernel_of_environment() before all others.
const MatmulKernel& matmul_kernel_for(const MatmulProblem& problem);
const MatmulKernel& matmul_kernel_named(std::string_view name);

}  // namespace dnateq::kernels
