// How matmul() and convolve() hand work to a kernel.
#pragma once

#include "kernels/matmul.h"
#include "kernels/matmul_kernel.h"

namespace dnateq::kernels {

// The weights' half of a task; activations, rows and epilogue are the caller's to fill in.
MatmulTask task_of(const PackedWeights& weights);
// Throws Error where the epilogue names neither one destination nor both values and a sink.
void check_destination(const Epilogue& epilogue);
// Throws Error where these weights, activations and destinations make no product.
void check_matmul(const PackedWeights& weights, bool signed_activations, const Epilogue& epilogue);
// Runs on the calling thread, with the kernel's scratch of this thread.
void run_range(const MatmulKernel& kernel, const MatmulTask& task, const MatmulRange& range);

}  // namespace dnateq::kernels
