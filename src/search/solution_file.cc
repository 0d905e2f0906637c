#include "search/solution_file.h"

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/atomic_file.h"
#include "core/pack.h"

namespace dnateq {
namespace {

using nlohmann::json;

template <typename T>
json::binary_t to_bytes(const std::vector<T>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return json::binary_t(std::move(bytes));
}

template <typename T>
std::vector<T> from_bytes(const json& value) {
  const auto& bytes = value.get_binary();
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

// Throws for anything but a whole number, as a damaged file may hold.
template <typename T>
T whole(const json& value) {
  if (!value.is_number_integer()) throw std::runtime_error("not a whole number");
  return value.get<T>();
}

}  // namespace

void save_solution(const LayerSolution& s, const std::filesystem::path& file) {
  const json code = {s.code.stored_bits,
                     s.code.negative_levels,
                     s.code.positive_levels,
                     s.code.base,
                     s.code.alpha,
                     s.code.beta,
                     s.code.grid,
                     static_cast<int>(s.code.family),
                     s.code.pow2_q,
                     static_cast<int>(s.code.arithmetic),
                     static_cast<int>(s.code.rounding)};
  const json document = {{"code", code},
                         {"codes", to_bytes(pack(s.codes, s.code.stored_bits))},
                         {"count", s.codes.size()},
                         {"gamma", to_bytes(s.gamma)},
                         {"bias", to_bytes(s.bias)},
                         {"errors",
                          {s.weight_relative_error, s.weight_rmae, s.uniform_relative_error, s.output_relative_error,
                           s.nearest_output_relative_error}}};
  write_file_atomically(file, json::to_cbor(document));
}

std::optional<LayerSolution> load_solution(const std::filesystem::path& file, const LayerShape& shape) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return {};
  try {
    const json document = json::from_cbor(stream);
    const json& c = document.at("code");
    LayerSolution s;
    s.code = {whole<int>(c.at(0)),
              whole<int>(c.at(1)),
              whole<int>(c.at(2)),
              c.at(3),
              c.at(4),
              c.at(5),
              c.at(6),
              static_cast<Family>(whole<int>(c.at(7))),
              whole<int>(c.at(8)),
              static_cast<Arithmetic>(whole<int>(c.at(9))),
              static_cast<dnateq::Rounding>(whole<int>(c.at(10)))};
    validate(s.code, file.string());
    const auto packed = from_bytes<uint8_t>(document.at("codes"));
    s.codes = unpack(packed, whole<size_t>(document.at("count")), s.code.stored_bits);
    s.gamma = from_bytes<uint16_t>(document.at("gamma"));
    s.bias = from_bytes<float>(document.at("bias"));
    const json& e = document.at("errors");
    s.weight_relative_error = e.at(0);
    s.weight_rmae = e.at(1);
    s.uniform_relative_error = e.at(2);
    s.output_relative_error = e.at(3);
    s.nearest_output_relative_error = e.at(4);
    const auto rows = static_cast<size_t>(shape.rows);
    if (s.codes.size() != rows * static_cast<size_t>(shape.columns) || s.gamma.size() != rows ||
        (!s.bias.empty() && s.bias.size() != rows))
      return {};
    return s;
  } catch (const std::exception&) {
    return {};
  }
}

}  // namespace dnateq
