// Measurements on disk, so that another bit target allocates again without measuring again.
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "openvino/measure.h"

namespace dnateq {
namespace {

using nlohmann::json;

constexpr int kCacheVersion = 4;

json to_json(const FitResult& fit) {
  const TensorCode& c = fit.code;
  return {c.stored_bits,
          c.negative_levels,
          c.positive_levels,
          c.base,
          c.alpha,
          c.beta,
          c.grid,
          static_cast<int>(c.family),
          c.pow2_q,
          static_cast<int>(c.arithmetic),
          static_cast<int>(c.rounding),
          fit.relative_error};
}

FitResult fit_from(const json& j) {
  FitResult fit;
  fit.code = {j.at(0),
              j.at(1),
              j.at(2),
              j.at(3),
              j.at(4),
              j.at(5),
              j.at(6),
              static_cast<Family>(j.at(7).get<int>()),
              j.at(8),
              static_cast<Arithmetic>(j.at(9).get<int>()),
              static_cast<Rounding>(j.at(10).get<int>())};
  fit.relative_error = j.at(11);
  return fit;
}

}  // namespace

void save_measurements(const Measurements& measurements, const std::string& key, const std::filesystem::path& file) {
  json activations = json::array(), weights = json::array();
  for (const ActivationMeasurement& m : measurements.activations) {
    json keys = json::array(), counts = json::array(), fits = json::array();
    for (const Histogram::Entry& entry : m.histogram.entries()) {
      keys.push_back(entry.key);
      counts.push_back(entry.count);
    }
    for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
      fits.push_back(to_json(m.fits[static_cast<size_t>(bits)]));
    activations.push_back({{"tensor", m.tensor},
                           {"non_negative", m.non_negative},
                           {"shape", m.shape},
                           {"values", m.values},
                           {"layers", m.layers},
                           {"keys", keys},
                           {"counts", counts},
                           {"zeros", m.histogram.zeros()},
                           {"minimum", m.histogram.minimum()},
                           {"maximum", m.histogram.maximum()},
                           {"fits", fits},
                           {"uniform8", to_json(m.uniform8)},
                           {"sensitivity", m.sensitivity}});
  }
  for (const WeightMeasurement& m : measurements.weights)
    weights.push_back({{"relative_error", m.relative_error}, {"divergence", m.divergence}});
  const json document = {{"version", kCacheVersion},
                         {"key", key},
                         {"activations", activations},
                         {"activation_of_layer", measurements.activation_of_layer},
                         {"weights", weights},
                         {"has_sensitivities", measurements.has_sensitivities},
                         {"summand_limit", measurements.summand_limit}};
  write_file_atomically(file, json::to_cbor(document));
}

std::optional<Measurements> load_measurements(const std::string& key, const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return {};
  try {
    const json document = json::from_cbor(stream);
    if (document.at("version") != kCacheVersion || document.at("key") != key) return {};
    Measurements measurements;
    for (const json& j : document.at("activations")) {
      ActivationMeasurement m;
      m.tensor = j.at("tensor");
      m.non_negative = j.at("non_negative");
      m.shape = j.at("shape").get<std::vector<int64_t>>();
      m.values = j.at("values");
      m.layers = j.at("layers");
      std::vector<Histogram::Entry> entries;
      for (size_t i = 0; i < j.at("keys").size(); ++i)
        entries.push_back({j.at("keys")[i].get<uint16_t>(), j.at("counts").at(i).get<uint64_t>()});
      m.histogram = Histogram::from_entries(entries, j.at("zeros"), j.at("minimum"), j.at("maximum"));
      for (int bits = kMinStoredBits; bits <= kMaxStoredBits; ++bits)
        m.fits[static_cast<size_t>(bits)] = fit_from(j.at("fits").at(static_cast<size_t>(bits - kMinStoredBits)));
      m.uniform8 = fit_from(j.at("uniform8"));
      m.sensitivity = j.at("sensitivity");
      measurements.activations.push_back(std::move(m));
    }
    measurements.activation_of_layer = document.at("activation_of_layer").get<std::vector<int>>();
    for (const json& j : document.at("weights")) {
      WeightMeasurement m;
      m.relative_error = j.at("relative_error").get<std::array<double, kMaxStoredBits + 1>>();
      m.divergence = j.at("divergence").get<std::array<double, kMaxStoredBits + 1>>();
      measurements.weights.push_back(m);
    }
    measurements.summand_limit = document.at("summand_limit").get<std::vector<float>>();
    measurements.has_sensitivities = document.at("has_sensitivities");
    return measurements;
  } catch (const std::exception&) {
    return {};
  }
}

}  // namespace dnateq
