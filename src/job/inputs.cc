#include "job/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <openvino/openvino.hpp>

#include "core/option.h"
#include "dnateq/error.h"
#include "graph/calls.h"
#include "graph/import.h"
#include "job/language_folder.h"
#include "ops/ops.h"

namespace dnateq {
namespace {

std::vector<float> parse_list(const std::string& text, const char* key) {
  std::vector<float> values;
  const char* at = text.data();
  const char* end = text.data() + text.size();
  while (at < end) {
    float value = 0;
    const auto [next, failed] = std::from_chars(at, end, value);
    if (failed != std::errc() || (next != end && *next != ','))
      throw Error(fmt::format("{} '{}' is not a list of numbers such as 123.7,116.3,103.5", option(key), text));
    values.push_back(value);
    at = next == end ? end : next + 1;
  }
  return values;
}

}  // namespace

std::unique_ptr<Samples> open_data(const DataArguments& arguments, const std::vector<std::string>& inputs,
                                   const std::filesystem::path& model) {
  if (!arguments.text.empty()) return open_text(arguments.text, model, arguments.context, arguments.windows);
  ImageOptions images;
  images.mean = parse_list(arguments.mean, "mean");
  images.std = parse_list(arguments.std, "std");
  images.resize = arguments.resize;
  images.crop = arguments.crop;
  images.color = arguments.color;
  images.layout = arguments.layout;
  return open_samples(arguments.path, images, inputs);
}

std::optional<int64_t> batch_axis(const DataArguments& arguments) {
  return arguments.batch_axis < 0 ? std::nullopt : std::optional<int64_t>(arguments.batch_axis);
}

std::vector<int64_t> open_labels(const std::string& labels, const DataArguments& data) {
  if (labels.empty()) return {};
  return labels == "names" ? labels_from_image_names(data.path) : read_labels(labels);
}

InputShapes parse_shapes(const std::vector<std::string>& texts) {
  InputShapes shapes;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    std::vector<int64_t> dims;
    const char* const end = text.data() + text.size();
    const char* at = equals == std::string::npos ? end : text.data() + equals + 1;
    bool good = equals > 0 && at != end;
    while (good && at != end) {
      int64_t dim = 0;
      const auto [next, failed] = std::from_chars(at, end, dim);
      good = failed == std::errc() && dim > 0 && (next == end || (*next == ',' && next + 1 != end));
      dims.push_back(dim);
      at = next == end ? end : next + 1;
    }
    if (!good)
      throw Error(
          fmt::format("{} '{}' is not of the form NAME=DIM,DIM,... such as input_ids=1,64", option("shape"), text));
    shapes[text.substr(0, equals)] = dims;
  }
  return shapes;
}

std::vector<std::string> names_of_inputs(const std::filesystem::path& model) {
  ov::Core core;
  core.add_extension(ops::operation_extensions());
  return input_names(*read_model(core, model));
}

std::string refusal_of_cpu(const std::string& target_isa) { return refusal_of_target(target_isa); }

}  // namespace dnateq
