#include "report/report_file.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "core/tensor_document.h"

namespace dnateq {
namespace {

constexpr const char* kRemedy = "run dnateq quantize again";

TensorView read_view(const DocumentReader& reader) {
  return {reader.text("layer"), reader.boolean("weights"), read_histogram(reader)};
}

std::vector<std::pair<double, double>> read_curve(const DocumentReader& reader) {
  std::vector<std::pair<double, double>> curve;
  for (const Document& point : reader.list("curve")) {
    const auto finite = [](const Document& value) { return value.is_number() && std::isfinite(value.get<double>()); };
    if (!point.is_array() || point.size() != 2 || !finite(point[0]) || !finite(point[1]))
      reader.fail("'curve' must hold pairs of finite numbers");
    curve.emplace_back(point[0].get<double>(), point[1].get<double>());
  }
  return curve;
}

}  // namespace

std::vector<uint8_t> report_file_bytes(const ReportInput& input) {
  Document tensors = Document::array();
  for (const TensorView& view : input.tensors) {
    Document tensor = histogram_document(view.histogram);
    tensor["layer"] = view.layer;
    tensor["weights"] = view.is_weights;
    tensors.push_back(std::move(tensor));
  }
  const Document document = {{"tensors", std::move(tensors)},
                             {"curve", input.bits_loss_curve},
                             {"seconds", input.seconds},
                             {"emission", input.emission},
                             {"int8_is_estimate", input.int8_is_estimate},
                             {"int8_metric", input.has_int8_metric ? Document(input.int8_metric) : Document()},
                             {"bytes",
                              {input.bytes_fp32, input.bytes_int8, input.bytes_standard, input.bytes_exact,
                               input.bytes_ram, input.bytes_ram_fp32, input.bytes_ram_int8}}};
  return Document::to_cbor(document);
}

ReportInput read_report_file(std::string_view bytes, Recipe recipe, const std::string& source) {
  const Document document = parse_cbor(bytes, {source, kRemedy});
  const DocumentReader reader(document, source, kRemedy);
  ReportInput input;
  input.recipe = std::move(recipe);
  // Each histogram has 65,536 counters.
  if (reader.list("tensors").size() > 2 * input.recipe.layers.size())
    reader.fail(fmt::format("'tensors' must hold no more than weights and activations of the recipe's {} layers",
                            input.recipe.layers.size()));
  input.tensors = reader.items("tensors", "tensor", read_view);
  input.seconds = reader.finite("seconds", 0);
  if (reader.has("emission")) input.emission = reader.text("emission");  // older files lack some
  if (input.emission != "standard" && input.emission != "cpu") reader.fail("'emission' must be standard or cpu");
  input.bits_loss_curve = read_curve(reader);
  const std::vector<int64_t> sizes = reader.counts("bytes");
  if (sizes.size() != 6 && sizes.size() != 7) reader.fail("'bytes' must hold 7 sizes");
  input.bytes_fp32 = sizes[0];
  input.bytes_int8 = sizes[1];
  input.bytes_standard = sizes[2];
  input.bytes_exact = sizes[3];
  input.bytes_ram = sizes[4];
  input.bytes_ram_fp32 = sizes[5];
  if (sizes.size() > 6) input.bytes_ram_int8 = sizes[6];
  input.has_int8_metric = reader.has_value("int8_metric");
  if (input.has_int8_metric) input.int8_metric = reader.finite("int8_metric");
  if (reader.has("int8_is_estimate")) input.int8_is_estimate = reader.boolean("int8_is_estimate");
  return input;
}

}  // namespace dnateq
