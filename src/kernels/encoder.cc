#include "kernels/encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "core/isa.h"
#include "dnateq/error.h"
#include "kernels/encoder_kernel.h"

namespace dnateq::kernels {
namespace {

constexpr uint32_t kInfinityBits = 0x7F800000, kNaNBits = 0x7FFFFFFF, kSmallestNormalBits = 0x00800000;

bool always(const CpuFeatures&) { return true; }
const char* takes_all(const EncoderTables&) { return nullptr; }

#if defined(__x86_64__)
bool runs_avx2(const CpuFeatures& cpu) { return cpu.avx2; }
bool runs_vbmi(const CpuFeatures& cpu) { return cpu.avx512_vbmi; }
const char* refusal_of_cells(const EncoderTables& tables) {
  return tables.cells == 0 ? "two of the code's thresholds lie too close for cells of equal width" : nullptr;
}
const char* refusal_of_compare(const EncoderTables& tables) {
  return tables.count > 32 ? "comparing with every threshold pays up to 32 only" : nullptr;
}
#endif

constexpr EncoderKernel kEncoders[] = {
#if defined(__x86_64__)
    {"avx512", "AVX-512 VBMI", runs_vbmi, refusal_of_cells, encode_avx512},
    {"avx2-compare", "AVX2", runs_avx2, refusal_of_compare, encode_avx2_compare},
    {"avx2-gather", "AVX2", runs_avx2, refusal_of_cells, encode_avx2_gather},
#endif
    {"scalar", "C++", always, takes_all, encode_scalar},
};

uint32_t cell_of(uint32_t magnitude, float scale) {
  return std::bit_cast<uint32_t>(std::fma(std::bit_cast<float>(magnitude), scale, kCellMagic)) -
         std::bit_cast<uint32_t>(kCellMagic);
}

// Fills the cells of this width if there are at most `most` of them and no cell holds two thresholds.
bool set_cells(EncoderTables& tables, float scale, size_t most) {
  const std::span<const uint32_t> thresholds = std::span(tables.thresholds).first(tables.count);
  const uint32_t last = cell_of(thresholds.back(), scale);
  if (last >= most) return false;
  uint8_t first_place[256]{};
  uint32_t cell = 0;
  bool holds_one = false;
  for (size_t i = 0; i < thresholds.size(); ++i) {
    const uint32_t at = cell_of(thresholds[i], scale), below = cell_of(thresholds[i] - 1, scale);
    for (; cell < at; holds_one = false) first_place[++cell] = static_cast<uint8_t>(i);
    if (holds_one) return false;
    if (below < at)  // its lower end
      first_place[cell] = static_cast<uint8_t>(i + 1);
    else
      holds_one = true;
  }
  tables.cells = last + 1;
  tables.cell_scale = scale;
  tables.top = std::bit_cast<float>(thresholds.back());
  std::copy_n(first_place, std::size(first_place), tables.first_place);
  return true;
}

void find_cells(EncoderTables& tables, double grid) {
  // A denormal may be read as zero, by the caller's leave: then comparing floats is no comparison of their bits.
  const uint32_t largest = tables.thresholds[tables.count - 1];
  if (tables.thresholds[0] < kSmallestNormalBits || largest >= kInfinityBits) return;
  const double top = std::bit_cast<float>(largest);
  for (const size_t most : {size_t{128}, size_t{256}}) {
    // Nearest levels have their thresholds at multiples of 1/2 grid step and at least one step apart. Cells a little
    // narrower than a step have no border at such a multiple, and so no room for two.
    if (set_cells(tables, static_cast<float>(grid * (1 + 0.25 / static_cast<double>(most))), most)) return;
    for (int wider = 0; wider < 64; ++wider)
      if (set_cells(tables, static_cast<float>((static_cast<double>(most) - 0.6 - 0.37 * wider) / top), most)) return;
  }
}

EncoderTables tables_of(const TensorCode& code) {
  if (code.arithmetic != Arithmetic::kInt8Grid) throw Error("levels of exponential arithmetic are no 8-bit integers");
  validate(code, "activations");
  EncoderTables tables;
  const Encoder encoder(code);
  std::vector<uint32_t> longer = encoder.positive_thresholds(), shorter = encoder.negative_thresholds();
  if (longer.size() < shorter.size()) longer.swap(shorter);
  if (!std::equal(shorter.begin(), shorter.end(), longer.begin()))
    throw Error("the signs of a code have thresholds of their own; this is a bug of dnateq, report it");
  tables.count = longer.size();
  tables.last_place[0] = static_cast<uint8_t>(code.positive_levels);
  tables.last_place[1] = static_cast<uint8_t>(code.negative_levels);
  tables.is_signed = code.negative_levels > 0;
  std::fill(std::begin(tables.thresholds), std::end(tables.thresholds), kNaNBits);
  std::copy(longer.begin(), longer.end(), tables.thresholds);

  const std::vector<int> magnitudes = grid_magnitudes(code);
  for (size_t i = 0; i < magnitudes.size(); ++i) tables.magnitudes[i + 1] = static_cast<uint8_t>(magnitudes[i]);
  find_cells(tables, code.grid);
  return tables;
}

}  // namespace

void encode_scalar(const EncoderTables& tables, const EncoderRows& rows) {
  const std::span<const uint32_t> thresholds = std::span(tables.thresholds).first(tables.count);
  for (size_t row = 0; row < rows.rows; ++row) {
    const float* x = rows.x + row * rows.x_stride;
    uint8_t* levels = static_cast<uint8_t*>(rows.levels) + row * rows.levels_stride;
    int32_t sum = 0;
    for (size_t k = 0; k < rows.inputs; ++k) {
      const auto bits = std::bit_cast<uint32_t>(x[k]);
      const uint32_t magnitude = bits & 0x7FFFFFFFU, sign = bits >> 31;
      const auto reached = std::upper_bound(thresholds.begin(), thresholds.end(), magnitude) - thresholds.begin();
      const size_t place =
          magnitude > kInfinityBits ? 0 : std::min(static_cast<size_t>(reached), size_t{tables.last_place[sign]});
      const int level = sign == 0 ? tables.magnitudes[place] : -tables.magnitudes[place];
      levels[k] = static_cast<uint8_t>(level);
      sum += level;
    }
    if (rows.sums != nullptr) rows.sums[row] = sum;
  }
}

ActivationEncoder::ActivationEncoder(const TensorCode& code)
    : tables_(std::make_shared<const EncoderTables>(tables_of(code))) {}

bool ActivationEncoder::is_signed() const { return tables_->is_signed; }

void ActivationEncoder::encode(const EncoderRows& rows) const {
  for (const EncoderKernel& kernel : kEncoders)
    if (kernel.runs_on(cpu_in_use()) && kernel.refusal(*tables_) == nullptr) return kernel.run(*tables_, rows);
}

void ActivationEncoder::encode_with(std::string_view name, const EncoderRows& rows) const {
  for (const EncoderKernel& kernel : kEncoders) {
    if (name != kernel.name) continue;
    if (!kernel.runs_on(cpu())) throw Error(fmt::format("this CPU does not run encoder {} ({})", name, kernel.isa));
    if (const char* refusal = kernel.refusal(*tables_); refusal != nullptr)
      throw Error(fmt::format("encoder {} does not take this code: {}", name, refusal));
    return kernel.run(*tables_, rows);
  }
  std::string names;
  for (const EncoderKernel& kernel : kEncoders) names += (names.empty() ? "" : ", ") + std::string(kernel.name);
  throw Error(fmt::format("no encoder is called '{}'; use one of {}", name, names));
}

std::vector<KernelVerdict> ActivationEncoder::explain() const {
  std::vector<KernelVerdict> verdicts;
  for (const EncoderKernel& kernel : kEncoders) {
    const char* refusal = kernel.refusal(*tables_);
    if (!kernel.runs_on(cpu())) refusal = "this CPU, or its operating system, lacks the instructions";
    verdicts.push_back({kernel.name, kernel.isa, refusal == nullptr ? "" : refusal});
  }
  return verdicts;
}

}  // namespace dnateq::kernels
