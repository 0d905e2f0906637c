#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "data/file.h"
#include "data/image_files.h"
#include "data/npy.h"
#include "data/npz.h"
#include "data/samples.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

template <typename Integer>
std::vector<int64_t> widened(const Array& array, const std::string& where) {
  std::vector<int64_t> labels(static_cast<size_t>(array.elements()));
  for (size_t i = 0; i < labels.size(); ++i) {
    Integer value;
    std::memcpy(&value, array.bytes.data() + i * sizeof(Integer), sizeof(Integer));
    if (!std::in_range<int64_t>(value))
      throw Error(
          fmt::format("{} holds the label {}, which is no class number; save class numbers from 0 on", where, value));
    labels[i] = static_cast<int64_t>(value);  // NOLINT(bugprone-signed-char-misuse): int8_t is a number here
  }
  return labels;
}

std::vector<int64_t> labels_of(const Array& array, const std::string& where) {
  const size_t axes = array.shape.size();
  if (axes == 0 || array.elements() != array.shape[0])
    throw Error(fmt::format("{} has {} axes and {} values; save one label a sample, shape [samples]", where, axes,
                            array.elements()));
  if (array.elements() == 0) throw Error(fmt::format("{} holds no labels; save one a sample", where));
  switch (array.type) {
    case DataType::kInt64:
      return widened<int64_t>(array, where);
    case DataType::kInt32:
      return widened<int32_t>(array, where);
    case DataType::kInt16:
      return widened<int16_t>(array, where);
    case DataType::kInt8:
      return widened<int8_t>(array, where);
    case DataType::kUint64:
      return widened<uint64_t>(array, where);
    case DataType::kUint32:
      return widened<uint32_t>(array, where);
    case DataType::kUint16:
      return widened<uint16_t>(array, where);
    case DataType::kUint8:
      return widened<uint8_t>(array, where);
    default:
      throw Error(fmt::format("{} holds {} values, labels are integers; save them with .astype('int64')", where,
                              to_string(array.type)));
  }
}

std::vector<int64_t> labels_of_npz(const std::filesystem::path& path) {
  NpzArchive archive(path);
  const std::vector<std::string>& names = archive.names();
  const bool named = std::find(names.begin(), names.end(), "labels") != names.end();
  if (!named && names.size() != 1)
    throw Error(fmt::format("{} has {} arrays and none is named 'labels'; save the labels under that name or alone",
                            in_quotes(path), names.size()));
  const std::vector<NamedArray> arrays = archive.read({named ? "labels" : names.front()});
  return labels_of(arrays[0].array, fmt::format("{}: array '{}'", in_quotes(path), arrays[0].name));
}

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t first = line.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kSpace) - first + 1);
}

std::vector<int64_t> labels_of_text(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<int64_t> labels;
  for (size_t line_number = 1; !rest.empty(); ++line_number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() && rest.find_first_not_of(" \t\r\n") == std::string_view::npos) break;  // blank lines at the end
    int64_t label = 0;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), label);
    if (error != std::errc() || stop != line.data() + line.size())
      throw Error(
          fmt::format("{}: line {} is not an integer; give a text file with one label a line, or a .npy or .npz",
                      in_quotes(path), line_number));
    labels.push_back(label);
  }
  if (labels.empty()) throw Error(fmt::format("{} holds no labels; give one a line", in_quotes(path)));
  return labels;
}

}  // namespace

std::vector<int64_t> read_labels(const std::filesystem::path& path) {
  const std::string extension = lower_extension(path);
  if (extension == ".npy") return labels_of(parse_npy(read_file(path), in_quotes(path)), in_quotes(path));
  if (extension == ".npz") return labels_of_npz(path);
  return labels_of_text(path);
}

std::vector<int64_t> labels_from_image_names(const std::filesystem::path& path) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(path, error);
  const std::unique_ptr<ImageFiles> files = folder ? open_image_folder(path) : open_image_tar(path);
  std::vector<int64_t> labels;
  for (const std::string& name : files->names()) {
    const std::string base = std::filesystem::path(name).filename().string();
    int64_t label = 0;
    const auto [stop, failure] = std::from_chars(base.data(), base.data() + base.size(), label);
    if (failure != std::errc() || label < 0 || base[0] == '-')
      throw Error(
          fmt::format("{}: image '{}' does not begin with the digits of its label; rename it or give a file of "
                      "labels",
                      in_quotes(path), name));
    labels.push_back(label);
  }
  return labels;
}

}  // namespace dnateq
