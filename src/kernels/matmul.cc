#include "kernels/matmul.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "dnateq/error.h"
#include "kernels/matmul_kernel.h"
#include "kernels/matmul_list.h"
#include "kernels/matmul_task.h"
#include "kernels/scratch.h"

namespace dnateq::kernels {
namespace {

thread_local Scratch scratch_of_thread;

// How a product is cut into tasks: first by panels, and by rows too where there are fewer panels than threads can
// share.
struct Cut {
  size_t panels_per_task, rows_per_task;
};

Cut cut(const MatmulKernel& kernel, const MatmulTask& task, size_t panels, size_t threads) {
  // Waking a thread costs some microseconds; about 10 bytes of codes and 500 MACs go by in a nanosecond.
  const double nanoseconds = static_cast<double>(panels * task.panel_bytes) / 10 +
                             static_cast<double>(panels * 64 * task.k) * static_cast<double>(task.m) / 500;
  constexpr double kWorthSharing = 20000;
  if (threads < 2 || nanoseconds < kWorthSharing) return {panels, task.m};
  const size_t wanted = 4 * threads;  // tasks: a slow thread must not hold up the others for long
  if (panels >= wanted || task.m <= 4) return {std::max(panels / wanted, size_t{1}), task.m};
  const size_t pieces = (wanted + panels - 1) / panels;
  const size_t rows = std::max((task.m + pieces - 1) / pieces, 2 * kernel.row_grain);
  return {1, std::min((rows + kernel.row_grain - 1) / kernel.row_grain * kernel.row_grain, task.m)};
}

void run_all(const MatmulKernel& kernel, const MatmulTask& task, size_t panels) {
  const auto threads = static_cast<size_t>(std::max(tbb::this_task_arena::max_concurrency(), 1));
  const Cut pieces = cut(kernel, task, panels, threads);
  const size_t along_n = (panels + pieces.panels_per_task - 1) / pieces.panels_per_task;
  const size_t along_m = (task.m + pieces.rows_per_task - 1) / pieces.rows_per_task;
  const auto run_piece = [&](size_t piece) {
    const size_t row = piece % along_m * pieces.rows_per_task, panel = piece / along_m * pieces.panels_per_task;
    run_range(
        kernel, task,
        {row, std::min(row + pieces.rows_per_task, task.m), panel, std::min(panel + pieces.panels_per_task, panels)});
  };
  if (along_n * along_m == 1) return run_piece(0);
  tbb::parallel_for(size_t{0}, along_n * along_m, run_piece);
}

void check(const PackedWeights& weights, const Activations& activations, const Epilogue& epilogue) {
  check_matmul(weights, activations.is_signed, epilogue);
  if (activations.rows > 1 && activations.stride < weights.inputs())
    throw Error(fmt::format("rows of {} activations lie {} apart; this is a bug of dnateq, report it", weights.inputs(),
                            activations.stride));
}

void run(const MatmulKernel& kernel, const PackedWeights& weights, const Activations& activations,
         const Epilogue& epilogue) {
  MatmulTask task = task_of(weights);
  task.x = static_cast<const uint8_t*>(activations.data);
  task.x_stride = activations.stride;
  task.x_signed = activations.is_signed;
  task.row_sums = activations.row_sums;
  task.m = activations.rows;
  task.epilogue = &epilogue;
  run_all(kernel, task, weights.panels());
}

MatmulProblem problem_of(const PackedWeights& weights, const Activations& activations) {
  return {.m = activations.rows,
          .n = weights.channels(),
          .k = weights.inputs(),
          .bits = weights.bits(),
          .tables = weights.tables(),
          .signed_activations = activations.is_signed};
}

}  // namespace

MatmulTask task_of(const PackedWeights& weights) {
  const bool stored_levels = weights.bits() == 8;
  MatmulTask task{};
  task.panels = weights.data();
  task.panel_bytes = weights.panel_bytes();
  task.unit_bytes = weights.unit_bytes();
  task.units = weights.units();
  task.n = weights.channels();
  task.k = weights.inputs();
  task.bits = weights.bits();
  task.tables = weights.tables();
  for (int table = 0; table < weights.tables(); ++table) {
    if (!stored_levels) task.levels[table] = weights.level_table(table);
    task.channel_sums[table] = weights.channel_sums(table);
  }
  return task;
}

void check_destination(const Epilogue& epilogue) {
  const int destinations = (epilogue.values != nullptr) + (epilogue.sums != nullptr) + (epilogue.sink != nullptr);
  const bool values_and_sink = destinations == 2 && epilogue.sums == nullptr;
  if (destinations != 1 && !values_and_sink)
    throw Error("a matmul needs one destination, or values and a sink; this is a bug of dnateq, report it");
}

void check_matmul(const PackedWeights& weights, bool signed_activations, const Epilogue& epilogue) {
  if (weights.channels() == 0) throw Error("a matmul got no weights; this is a bug of dnateq, report it");
  check_destination(epilogue);
  if (!sums_fit_int32(weights, signed_activations))
    throw Error(fmt::format("sums over {} inputs may overflow 32 bits; quantize this layer with smaller levels",
                            weights.inputs()));
}

void run_range(const MatmulKernel& kernel, const MatmulTask& task, const MatmulRange& range) {
  kernel.run(task, range, scratch_of_thread.at_least(kernel.scratch_bytes(task, range)));
}

bool sums_fit_int32(const PackedWeights& weights, bool signed_activations) {
  const int64_t largest = signed_activations ? 128 : 255;
  return weights.largest_absolute_sum() <= INT32_MAX / largest;
}

void matmul(const PackedWeights& weights, const Activations& activations, const Epilogue& epilogue) {
  check(weights, activations, epilogue);
  if (activations.rows == 0) return;
  run(matmul_kernel_for(problem_of(weights, activations)), weights, activations, epilogue);
}

void matmul_with(std::string_view name, const PackedWeights& weights, const Activations& activations,
                 const Epilogue& epilogue) {
  check(weights, activations, epilogue);
  const MatmulKernel& kernel = matmul_kernel_named(name);
  if (activations.rows == 0) return;
  if (const char* refusal = kernel.refusal(problem_of(weights, activations)))
    throw Error(fmt::format("kernel {} does not take this matmul: {}", name, refusal));
  run(kernel, weights, activations, epilogue);
}

}  // namespace dnateq::kernels
