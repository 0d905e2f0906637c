#include "search/solution_file.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "core/atomic_file.h"
#include "core/channel_scale.h"
#include "core/pack.h"
#include "core/tensor_document.h"

namespace dnateq {
namespace {

constexpr const char* kRemedy = "delete it, and the layer is solved again";

template <typename T>
Document bytes_of(const std::vector<T>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return Document::binary(std::move(bytes));
}

}  // namespace

void save_solution(const LayerSolution& s, const std::filesystem::path& file) {
  Document document;
  document["code"] = code_document(s.code);
  document["codes"] = bytes_of(pack(s.codes, s.code.stored_bits));
  document["gamma"] = bytes_of(s.gamma);
  document["scale_exponent"] = s.scale_exponent;
  document["bias"] = bytes_of(s.bias);
  document["weight_relative_error"] = s.weight_relative_error;
  document["weight_rmae"] = s.weight_rmae;
  document["uniform_relative_error"] = s.uniform_relative_error;
  document["output_relative_error"] = s.output_relative_error;
  document["nearest_output_relative_error"] = s.nearest_output_relative_error;
  write_file_atomically(file, Document::to_cbor(document));
}

LayerSolution read_solution(std::string_view bytes, const LayerShape& shape, const TensorCode& request,
                            const std::string& source) {
  const Document document = parse_cbor(bytes, {source, kRemedy});
  const DocumentReader reader(document, source, kRemedy);
  const auto rows = static_cast<size_t>(shape.rows), columns = static_cast<size_t>(shape.columns);
  LayerSolution s;
  s.code = read_code(reader.object("code"), source);
  if (s.code.stored_bits != request.stored_bits || s.code.arithmetic != request.arithmetic)
    reader.fail("'code' is not of the width and arithmetic that are asked for");
  const std::vector<uint8_t> packed = reader.array<uint8_t>("codes");
  if (packed.size() != packed_bytes(rows * columns, s.code.stored_bits))
    reader.fail(fmt::format("'codes' must hold {} codes of {} bits", rows * columns, s.code.stored_bits));
  s.codes = unpack(packed, rows * columns, s.code.stored_bits);
  s.gamma = reader.array<uint16_t>("gamma");
  if (s.gamma.size() != rows) reader.fail(fmt::format("'gamma' must hold {} scales", rows));
  for (const uint16_t gamma : s.gamma)
    if (!is_scale(gamma)) reader.fail("'gamma' must hold finite scales other than 0");
  s.scale_exponent = reader.small_count("scale_exponent", kLeastScaleExponent, kMostScaleExponent);
  s.bias = reader.array<float>("bias");
  if (!s.bias.empty() && s.bias.size() != rows) reader.fail(fmt::format("'bias' must hold {} values or none", rows));
  for (const float bias : s.bias)
    if (!std::isfinite(bias)) reader.fail("'bias' must hold finite values");
  s.weight_relative_error = reader.finite("weight_relative_error", 0);
  s.weight_rmae = reader.finite("weight_rmae", 0);
  s.uniform_relative_error = reader.finite("uniform_relative_error", 0);
  s.output_relative_error = reader.finite("output_relative_error", 0);
  s.nearest_output_relative_error = reader.finite("nearest_output_relative_error", 0);
  return s;
}

std::optional<LayerSolution> load_solution(const std::filesystem::path& file, const LayerShape& shape,
                                           const TensorCode& request) {
  try {
    return read_solution(read_document_file(file, kRemedy), shape, request, file.string());
  } catch (const Error&) {
    return {};
  }
}

}  // namespace dnateq
