// Measurements on disk, so that another bit target allocates again without measuring again.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "calibrate/measure.h"
#include "core/atomic_file.h"
#include "core/tensor_document.h"

namespace dnateq {
namespace {

constexpr int kCacheVersion = 5;
constexpr int kUniformBits = 8;
constexpr int64_t kNoActivation = -1;  // in the file
constexpr const char* kRemedy = "delete it, and the calibration data are measured again";

Document fit_document(const FitResult& fit) {
  return {{"code", code_document(fit.code)}, {"relative_error", fit.relative_error}};
}

FitResult read_fit(const DocumentReader& reader, int stored_bits, const std::string& tensor) {
  FitResult fit;
  fit.code = read_code(reader.object("code"), tensor);
  if (fit.code.stored_bits != stored_bits) reader.fail(fmt::format("'code' must have {} bits", stored_bits));
  fit.relative_error = reader.finite("relative_error", 0);
  return fit;
}

Document activation_document(const ActivationMeasurement& m) {
  Document fits = Document::array();
  const bool has_fits = m.uniform8.code.stored_bits == kUniformBits;  // not where weights alone get codes
  for (int bits = kMinStoredBits; bits <= kMaxStoredBits && has_fits; ++bits)
    fits.push_back(fit_document(m.fits[static_cast<size_t>(bits)]));
  return {{"tensor", m.tensor},
          {"non_negative", m.non_negative},
          {"shape", m.shape},
          {"values", m.values},
          {"layers", m.layers},
          {"histogram", histogram_document(m.histogram)},
          {"fits", std::move(fits)},
          {"uniform8", fit_document(m.uniform8)},
          {"sensitivity", m.sensitivity}};
}

ActivationMeasurement read_activation(const DocumentReader& reader) {
  ActivationMeasurement m;
  m.tensor = reader.text("tensor");
  m.non_negative = reader.boolean("non_negative");
  m.shape = reader.counts("shape");
  m.values = reader.finite("values", 0, static_cast<double>(kLargestCount));
  m.layers = reader.small_count("layers", 1, std::numeric_limits<int>::max());
  m.histogram = read_histogram(reader.object("histogram"));
  m.sensitivity = reader.finite("sensitivity");
  if (reader.list("fits").empty()) return m;
  constexpr int kWidths = kMaxStoredBits - kMinStoredBits + 1;
  if (reader.list("fits").size() != kWidths) reader.fail(fmt::format("'fits' must hold {} fits", kWidths));
  int bits = kMinStoredBits;
  for (const FitResult& fit :
       reader.items("fits", "fit", [&](const DocumentReader& one) { return read_fit(one, bits++, m.tensor); }))
    m.fits[static_cast<size_t>(fit.code.stored_bits)] = fit;
  m.uniform8 = read_fit(reader.object("uniform8"), kUniformBits, m.tensor);
  return m;
}

using ByBits = std::array<double, kMaxStoredBits + 1>;

ByBits read_by_bits(const DocumentReader& reader, const char* key) {
  const std::vector<double> values = reader.numbers(key);
  ByBits by_bits{};
  if (values.size() != by_bits.size()) reader.fail(fmt::format("'{}' must hold {} numbers", key, by_bits.size()));
  std::copy(values.begin(), values.end(), by_bits.begin());
  return by_bits;
}

WeightMeasurement read_weights(const DocumentReader& reader) {
  WeightMeasurement m;
  m.relative_error = read_by_bits(reader, "relative_error");
  m.divergence = read_by_bits(reader, "divergence");
  return m;
}

// Which activations enter which layers: only embeddings have none, and the counts agree.
void check_activations(const DocumentReader& reader, const Measurements& measurements,
                       const std::vector<Layer>& layers) {
  std::vector<int> readers(measurements.activations.size());
  for (size_t l = 0; l < layers.size(); ++l) {
    const std::optional<size_t> a = measurements.layers[l].activation;
    if (a && *a >= readers.size()) reader.fail("'activation_of_layer' must hold indices of 'activations'");
    if (a.has_value() == (layers[l].kind == LayerKind::kEmbedding))
      reader.fail(fmt::format("'activation_of_layer' is wrong for layer '{}'", layers[l].name));
    if (a) ++readers[*a];
  }
  for (size_t a = 0; a < readers.size(); ++a)
    if (measurements.activations[a].layers != readers[a])
      reader.fail(fmt::format("'layers' of tensor '{}' is not how many read it", measurements.activations[a].tensor));
}

}  // namespace

void save_measurements(const Measurements& measurements, const std::string& key, const std::filesystem::path& file) {
  Document activations = Document::array(), weights = Document::array();
  Document entering = Document::array(), residual_limits = Document::array();
  for (const ActivationMeasurement& m : measurements.activations) activations.push_back(activation_document(m));
  for (const LayerMeasurement& m : measurements.layers) {
    weights.push_back({{"relative_error", m.weights.relative_error}, {"divergence", m.weights.divergence}});
    entering.push_back(m.activation ? static_cast<int64_t>(*m.activation) : kNoActivation);
    residual_limits.push_back(m.residual_limit);
  }
  const Document document = {
      {"version", kCacheVersion},        {"key", key},         {"activations", activations},
      {"activation_of_layer", entering}, {"weights", weights}, {"has_sensitivities", measurements.has_sensitivities},
      {"summand_limit", residual_limits}};
  write_file_atomically(file, Document::to_cbor(document));
}

Measurements read_measurements(std::string_view bytes, const std::string& key, const std::vector<Layer>& layers,
                               const std::string& source) {
  const Document document = parse_cbor(bytes, {source, kRemedy});
  const DocumentReader reader(document, source, kRemedy);
  reader.count("version", kCacheVersion, kCacheVersion);
  if (reader.text("key") != key) reader.fail("'key' is that of other data, another model or other options");
  for (const char* list : {"activation_of_layer", "weights", "summand_limit"})
    if (reader.list(list).size() != layers.size())
      reader.fail(fmt::format("'{}' must hold one entry for each of {} layers", list, layers.size()));
  if (reader.list("activations").size() > layers.size())
    reader.fail(fmt::format("'activations' must hold no more tensors than there are layers ({})", layers.size()));
  Measurements measurements;
  measurements.activations = reader.items("activations", "activation", read_activation);
  for (const int64_t a : reader.counts("activation_of_layer", kNoActivation, std::numeric_limits<int>::max())) {
    LayerMeasurement& layer = measurements.layers.emplace_back();
    if (a != kNoActivation) layer.activation = static_cast<size_t>(a);
  }
  check_activations(reader, measurements, layers);
  const std::vector<WeightMeasurement> weights = reader.items("weights", "layer", read_weights);
  const std::vector<double> limits = reader.numbers("summand_limit");
  for (size_t l = 0; l < layers.size(); ++l) {
    if (!(limits[l] >= 0 && limits[l] <= std::numeric_limits<float>::max()))
      reader.fail("'summand_limit' must hold float32 numbers that are not negative");
    measurements.layers[l].residual_limit = static_cast<float>(limits[l]);
    measurements.layers[l].weights = weights[l];
  }
  measurements.has_sensitivities = reader.boolean("has_sensitivities");
  return measurements;
}

std::optional<Measurements> load_measurements(const std::string& key, const std::vector<Layer>& layers,
                                              const std::filesystem::path& file) {
  try {
    return read_measurements(read_document_file(file, kRemedy), key, layers, file.string());
  } catch (const Error&) {
    return {};
  }
}

}  // namespace dnateq
