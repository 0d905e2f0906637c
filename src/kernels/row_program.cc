#include "kernels/row_program.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cstring>

#include "core/hadamard.h"
#include "dnateq/error.h"
#include "kernels/crew.h"
#include "kernels/matmul.h"
#include "kernels/matmul_list.h"
#include "kernels/matmul_task.h"
#include "kernels/row_functions.h"
#include "kernels/row_program_maker.h"
#include "kernels/row_quantizer.h"

namespace dnateq::kernels {
namespace {

constexpr size_t kFewRows = 4;                 // for kernels that decode each panel for all of them
constexpr double kBytesPerNanosecond = 10;     // of codes, of one thread
constexpr double kNanosecondsAThread = 20000;  // least of a call: waking a thread costs some microseconds
constexpr double kWorthSharing = 4000;         // ns of a phase, once the helpers are there
constexpr size_t kPiecesAThread = 8;           // a slow thread must not hold up the others for long
constexpr size_t kLeastPieceBytes = 16384;     // of codes
constexpr double kValuesPerNanosecond = 1;     // of functions
constexpr size_t kRowsATask = 8;

}  // namespace

// What a thread keeps between calls.
struct RowProgram::Buffers {
  std::vector<float> slots, scales;
  std::vector<int8_t> levels;
  std::vector<int32_t> sums;

  template <typename T>
  static void grow(std::vector<T>& values, size_t size) {
    if (values.size() < size) values.resize(size);
  }
};

// The rows of one call, at most kMostRows.
class RowProgram::Run {
 public:
  Run(const RowProgram& program, Buffers& buffers, size_t rows, std::vector<const float*> inputs,
      std::vector<float*> outputs)
      : p_(program), buffers_(buffers), rows_(rows), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {
    slots_.reserve(p_.slot_widths_.size());
    size_t floats = 0;
    for (const size_t width : p_.slot_widths_) floats += rows * width;
    Buffers::grow(buffers_.slots, floats);
    Buffers::grow(buffers_.levels, rows * p_.rounded_columns_);
    Buffers::grow(buffers_.scales, rows * p_.most_roundings_);
    Buffers::grow(buffers_.sums, rows * p_.most_roundings_);
    float* slot = buffers_.slots.data();
    for (const size_t width : p_.slot_widths_) {
      slots_.push_back(slot);
      slot += rows * width;
    }
  }

  void few(size_t threads) {
    Crew crew(std::clamp(static_cast<size_t>(p_.nanoseconds_ / kNanosecondsAThread), size_t{1}, threads));
    for (const Phase& phase : p_.phases_) {
      functions(phase, 0, rows_);
      share(phase, crew);
    }
  }

  void many(size_t threads) {
    for (const Phase& phase : p_.phases_) {
      size_t values = 0;
      for (const RowOperation& operation : phase.operations) values += operation.width;
      for (const Rounding& rounding : phase.roundings) values += rounding.width;
      const size_t tasks = (rows_ + kRowsATask - 1) / kRowsATask;
      if (threads < 2 || static_cast<double>(values * rows_) / kValuesPerNanosecond < kNanosecondsAThread)
        functions(phase, 0, rows_);
      else
        tbb::parallel_for(size_t{0}, tasks, [&](size_t task) {
          functions(phase, task * kRowsATask, std::min((task + 1) * kRowsATask, rows_));
        });
      for (const Product& product : phase.products) {
        const Rounding& rounding = phase.roundings[product.rounding];
        matmul(p_.matrices_[product.matrix].weights,
               {levels_of(rounding), rows_, rounding.width, buffers_.sums.data() + product.rounding * rows_},
               epilogue_of(product));
      }
    }
  }

 private:
  const float* read(const Place& place, size_t row) const {
    const float* base = place.home == Home::kInput    ? inputs_[place.index]
                        : place.home == Home::kOutput ? outputs_[place.index]
                                                      : slots_[place.index];
    return base + row * place.stride + place.begin;
  }
  float* write(const Place& place, size_t row) const {
    float* base = place.home == Home::kOutput ? outputs_[place.index] : slots_[place.index];
    return base + row * place.stride + place.begin;
  }
  int8_t* levels_of(const Rounding& rounding) const { return buffers_.levels.data() + rows_ * rounding.columns_before; }

  Epilogue epilogue_of(const Product& product) const {
    const Matrix& matrix = p_.matrices_[product.matrix];
    Epilogue epilogue;
    epilogue.row_scale = buffers_.scales.data() + product.rounding * rows_;
    epilogue.channel_scale = matrix.scale.data();
    epilogue.bias = matrix.bias.empty() ? nullptr : matrix.bias.data();
    if (product.residual) {
      epilogue.residual = read(*product.residual, 0);
      epilogue.residual_stride = product.residual->stride;
    }
    epilogue.values = write(product.y, 0);
    epilogue.stride = product.y.stride;
    return epilogue;
  }

  // All functions and roundings of a phase for some rows, which no other thread has.
  void functions(const Phase& phase, size_t begin, size_t end) const {
    for (const RowOperation& operation : phase.operations)
      for (size_t row = begin; row < end; ++row) function(operation, row);
    for (size_t i = 0; i < phase.roundings.size(); ++i) {
      const Rounding& rounding = phase.roundings[i];
      quantize_rows({read(rounding.x, begin), rounding.x.stride, end - begin, rounding.width,
                     levels_of(rounding) + begin * rounding.width, rounding.width,
                     buffers_.scales.data() + i * rows_ + begin, buffers_.sums.data() + i * rows_ + begin});
    }
  }

  void function(const RowOperation& operation, size_t row) const {
    const float* const a = read(operation.a, row);
    const float* const b = operation.b ? read(*operation.b, row) : nullptr;
    const float* const vector = operation.vector ? p_.vectors_[*operation.vector].data() : nullptr;
    float* const y = write(operation.y, row);
    const size_t width = operation.width;
    switch (operation.kind) {
      case RowStepKind::kAdd:
        return f_.add(a, b, width, y);
      case RowStepKind::kMultiply:
        return f_.multiply(a, b, width, y);
      case RowStepKind::kScale:
        return f_.multiply(a, vector, width, y);
      case RowStepKind::kShift:
        return f_.add(a, vector, width, y);
      case RowStepKind::kRmsNorm:
        return f_.rms_norm(a, vector, width, operation.epsilon, y);
      case RowStepKind::kMeanNorm:
        return f_.mean_norm(a, vector, width, operation.epsilon, y);
      case RowStepKind::kSwish:
        return f_.swish(a, b, width, y);
      case RowStepKind::kGeluErf:
        return f_.gelu_erf(a, b, width, y);
      case RowStepKind::kGeluTanh:
        return f_.gelu_tanh(a, b, width, y);
      case RowStepKind::kSlice:
        std::memcpy(y, a, width * sizeof(float));
        return;
      case RowStepKind::kHadamard:
        if (y != a) std::memcpy(y, a, width * sizeof(float));
        return hadamard({y, width}, operation.block);
      case RowStepKind::kMatMul:
        return;  // in products
    }
  }

  // The panels of all matmuls of a phase, in pieces of some panels of one of them.
  void share(const Phase& phase, Crew& crew) {
    struct Part {
      const MatmulKernel* kernel;
      MatmulTask task;
      Epilogue epilogue;
      size_t panels, panels_a_piece, first_piece;
    };
    if (phase.products.empty()) return;
    std::vector<Part> parts;
    parts.reserve(phase.products.size());
    size_t bytes = 0;
    for (const Product& product : phase.products) bytes += p_.matrices_[product.matrix].weights.bytes();
    const bool shared = crew.threads() > 1 && static_cast<double>(bytes) / kBytesPerNanosecond > kWorthSharing;
    const size_t piece_bytes = shared ? std::max(bytes / (kPiecesAThread * crew.threads()), kLeastPieceBytes) : bytes;
    size_t pieces = 0;
    for (const Product& product : phase.products) {
      const PackedWeights& weights = p_.matrices_[product.matrix].weights;
      const Rounding& rounding = phase.roundings[product.rounding];
      Part& part = parts.emplace_back(Part{&matmul_kernel_for({.m = rows_,
                                                               .n = weights.channels(),
                                                               .k = weights.inputs(),
                                                               .bits = weights.bits(),
                                                               .tables = weights.tables(),
                                                               .signed_activations = true}),
                                           task_of(weights), epilogue_of(product), weights.panels(),
                                           std::max(piece_bytes / weights.panel_bytes(), size_t{1}), pieces});
      part.task.x = reinterpret_cast<const uint8_t*>(levels_of(rounding));
      part.task.x_stride = rounding.width;
      part.task.x_signed = true;
      part.task.row_sums = buffers_.sums.data() + product.rounding * rows_;
      part.task.m = rows_;
      part.task.epilogue = &part.epilogue;
      pieces += (part.panels + part.panels_a_piece - 1) / part.panels_a_piece;
    }
    crew.run(pieces, [&](size_t piece) {
      size_t at = parts.size() - 1;
      while (parts[at].first_piece > piece) --at;
      const Part& part = parts[at];
      const size_t panel = (piece - part.first_piece) * part.panels_a_piece;
      run_range(*part.kernel, part.task, {0, rows_, panel, std::min(panel + part.panels_a_piece, part.panels)});
    });
  }

  const RowProgram& p_;
  Buffers& buffers_;
  const size_t rows_;
  const std::vector<const float*> inputs_;
  const std::vector<float*> outputs_;
  const RowFunctions& f_ = row_functions();
  std::vector<float*> slots_;
};

RowProgram::RowProgram(const RowBlock& block, std::vector<Matrix> matrices)
    : matrices_(std::move(matrices)), vectors_(block.vectors), input_widths_(block.input_widths) {
  for (const uint32_t value : block.outputs) output_widths_.push_back(block.width(value));
  RowProgramMaker(block, *this).make();
  for (const Matrix& matrix : matrices_) {
    if (!sums_fit_int32(matrix.weights, true))
      throw Error(fmt::format("sums over {} inputs may overflow 32 bits; quantize this layer with smaller levels",
                              matrix.weights.inputs()));
    nanoseconds_ += static_cast<double>(matrix.weights.bytes()) / kBytesPerNanosecond;
  }
}

void RowProgram::run(const std::vector<const float*>& inputs, size_t rows, const std::vector<float*>& outputs) const {
  thread_local Buffers buffers;
  const auto threads = static_cast<size_t>(std::max(tbb::this_task_arena::max_concurrency(), 1));
  const size_t parts = (rows + kMostRows - 1) / kMostRows;
  for (size_t part = 0; part < parts; ++part) {
    const size_t begin = rows * part / parts, end = rows * (part + 1) / parts;
    std::vector<const float*> from = inputs;
    std::vector<float*> to = outputs;
    for (size_t i = 0; i < from.size(); ++i) from[i] += begin * input_widths_[i];
    for (size_t i = 0; i < to.size(); ++i) to[i] += begin * output_widths_[i];
    Run run(*this, buffers, end - begin, std::move(from), std::move(to));
    if (end - begin <= kFewRows)
      run.few(threads);
    else
      run.many(threads);
  }
}

}  // namespace dnateq::kernels
