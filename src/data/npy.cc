#include "data/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "dnateq/error.h"

namespace dnateq {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are kept in the machine's byte order");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxDimensions = 64;  // NumPy 2's own limit
constexpr size_t kMaxHeaderBytes = size_t{1} << 16;

[[noreturn]] void fail(const std::string& where, std::string_view what) {
  throw Error(fmt::format("{} {}", where, what));
}

// Walks over the header's Python literal.
class HeaderText {
 public:
  HeaderText(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  bool take(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }

  void expect(char wanted) {
    if (!take(wanted)) damaged();
  }

  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  std::string_view quoted_text() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') damaged();
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) damaged();
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return inside;
  }

  bool truth() {
    peek();
    for (const auto& [word, value] : {std::pair{std::string_view("True"), true}, {"False", false}}) {
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      return value;
    }
    damaged();
  }

  int64_t extent() {
    peek();
    int64_t value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) fail(where_, "declares an axis that is too long; save it again");
    if (error != std::errc() || value < 0) damaged();
    at_ += static_cast<size_t>(end - begin);
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote long integers so
    return value;
  }

  std::vector<int64_t> shape() {
    std::vector<int64_t> extents;
    expect('(');
    while (!take(')')) {
      extents.push_back(extent());
      if (extents.size() > kMaxDimensions)
        fail(where_, fmt::format("has more than {} dimensions; save it again", kMaxDimensions));
      if (!take(',') && peek() != ')') damaged();
    }
    return extents;
  }

  [[noreturn]] void damaged() const {
    fail(where_, fmt::format("has a damaged .npy header (at its character {}); save it again with numpy.save", at_));
  }

 private:
  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

constexpr std::pair<std::string_view, DataType> kTypes[] = {
    {"f4", DataType::kFloat32}, {"f8", DataType::kFloat64}, {"f2", DataType::kFloat16}, {"i8", DataType::kInt64},
    {"i4", DataType::kInt32},   {"i2", DataType::kInt16},   {"i1", DataType::kInt8},    {"u8", DataType::kUint64},
    {"u4", DataType::kUint32},  {"u2", DataType::kUint16},  {"u1", DataType::kUint8},   {"b1", DataType::kBool},
};

std::optional<DataType> numeric_type(std::string_view kind_and_size) {
  for (const auto& [name, type] : kTypes)
    if (name == kind_and_size) return type;
  return std::nullopt;
}

std::string_view name_of(DataType type) {
  return std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& known) { return known.second == type; })
      ->first;
}

// Magic, version 1, length and dictionary; NumPy has the data begin at a multiple of 64 bytes.
std::string header_of(DataType type, const std::vector<int64_t>& shape) {
  std::string text = fmt::format("{{'descr': '<{}', 'fortran_order': False, 'shape': ({},), }}", name_of(type),
                                 fmt::join(shape, ", "));
  const size_t before = kMagic.size() + 4;
  text.resize((before + text.size() + 1 + 63) / 64 * 64 - before - 1, ' ');
  text += '\n';
  return fmt::format("{}{}{}{}{}{}", kMagic, '\x01', '\0', static_cast<char>(text.size() & 0xff),
                     static_cast<char>(text.size() >> 8), text);
}

void parse_type(std::string_view descr, const std::string& where, NpyHeader& header) {
  const bool has_order = !descr.empty() && std::string_view("<>=|").find(descr[0]) != std::string_view::npos;
  const std::optional<DataType> type = numeric_type(descr.substr(has_order ? 1 : 0));
  if (!type) {
    const bool objects = descr.find('O') != std::string_view::npos;
    const std::string shown = objects ? "Python objects" : fmt::format("the type '{}'", descr.substr(0, 32));
    fail(where, fmt::format("holds {}; save it as bool, integers, float16, float32 or float64", shown));
  }
  header.type = *type;
  header.big_endian = descr[0] == '>' && size_of(*type) > 1;
}

void refuse_overflow(const NpyHeader& header, const std::string& where) {
  const int64_t limit = std::numeric_limits<int64_t>::max() / static_cast<int64_t>(size_of(header.type));
  int64_t product = 1;
  for (const int64_t extent : header.shape) {
    const int64_t factor = std::max<int64_t>(extent, 1);
    if (product > limit / factor) fail(where, "declares more data than any file can hold; save it again");
    product *= factor;
  }
}

void swap_bytes(std::vector<std::byte>& bytes, size_t item) {
  for (size_t at = 0; at + item <= bytes.size(); at += item)
    std::reverse(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.begin() + static_cast<ptrdiff_t>(at + item));
}

// First-axis-fastest to last-axis-fastest: the last axis of the target is walked with a constant stride in the source.
std::vector<std::byte> from_fortran_order(const std::vector<std::byte>& source, const std::vector<int64_t>& shape,
                                          size_t item) {
  std::vector<std::byte> target(source.size());
  std::vector<size_t> stride(shape.size());
  size_t step = item;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    stride[axis] = step;
    step *= static_cast<size_t>(shape[axis]);
  }
  std::vector<int64_t> index(shape.size(), 0);
  size_t from = 0;
  for (size_t to = 0; to < target.size(); to += item) {
    std::memcpy(target.data() + to, source.data() + from, item);
    for (size_t axis = shape.size(); axis-- > 0;) {
      from += stride[axis];
      if (++index[axis] < shape[axis]) break;
      from -= stride[axis] * static_cast<size_t>(shape[axis]);
      index[axis] = 0;
    }
  }
  return target;
}

}  // namespace

bool has_npy_magic(std::span<const std::byte> file) {
  return file.size() >= kMagic.size() && std::memcmp(file.data(), kMagic.data(), kMagic.size()) == 0;
}

NpyHeader parse_npy_header(std::span<const std::byte> file, const std::string& where) {
  if (file.size() >= kMagic.size() && !has_npy_magic(file))
    fail(where, "is not a NumPy array (no .npy signature); save it with numpy.save");
  const auto byte = [&](size_t at) { return std::to_integer<size_t>(file[at]); };
  const auto need = [&](size_t size) {
    if (file.size() < size) fail(where, "is truncated inside its .npy header; copy or save it again");
  };
  need(kMagic.size() + 2);
  const size_t version = byte(kMagic.size());
  if (version < 1 || version > 3)
    fail(where, fmt::format("has the .npy format version {}, 1 to 3 are known; save it with numpy.save", version));
  size_t at = kMagic.size() + 2;
  const size_t length_bytes = version == 1 ? 2 : 4;
  need(at + length_bytes);
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length |= byte(at + i) << (8 * i);
  at += length_bytes;
  if (length > kMaxHeaderBytes)
    fail(where, fmt::format("has a .npy header of {} bytes, which no plain array needs; save it again", length));
  need(at + length);

  NpyHeader header;
  header.data_offset = at + length;
  HeaderText text({reinterpret_cast<const char*>(file.data()) + at, length}, where);
  bool has_type = false;
  bool has_order = false;
  bool has_shape = false;
  text.expect('{');
  while (!text.take('}')) {
    const std::string_view key = text.quoted_text();
    text.expect(':');
    if (key == "descr" && !has_type) {
      if (text.peek() == '[' || text.peek() == '(')
        fail(where, "is a structured array; save each of its fields as an array of its own");
      parse_type(text.quoted_text(), where, header);
      has_type = true;
    } else if (key == "fortran_order" && !has_order) {
      header.fortran_order = text.truth();
      has_order = true;
    } else if (key == "shape" && !has_shape) {
      header.shape = text.shape();
      has_shape = true;
    } else {
      text.damaged();
    }
    if (!text.take(',') && text.peek() != '}') text.damaged();
  }
  if (!has_type || !has_order || !has_shape || text.peek() != '\0') text.damaged();
  refuse_overflow(header, where);
  return header;
}

Array parse_npy(std::vector<std::byte> file, const std::string& where) {
  NpyHeader header = parse_npy_header(file, where);
  Array array{.type = header.type, .shape = std::move(header.shape), .bytes = {}};
  const size_t item = size_of(array.type);
  const size_t declared = static_cast<size_t>(array.elements()) * item;
  const size_t present = file.size() - header.data_offset;
  if (present != declared)
    fail(where, fmt::format("is {}: its header declares {} bytes of data, {} follow; copy or save it again",
                            present < declared ? "truncated" : "damaged", declared, present));
  file.erase(file.begin(), file.begin() + static_cast<ptrdiff_t>(header.data_offset));
  if (header.big_endian) swap_bytes(file, item);
  if (array.type == DataType::kBool)
    for (std::byte& value : file) value = static_cast<std::byte>(value != std::byte{0});
  array.bytes =
      header.fortran_order && array.shape.size() > 1 ? from_fortran_order(file, array.shape, item) : std::move(file);
  return array;
}

void write_npy(const std::filesystem::path& file, const Samples& samples, int64_t count) {
  std::ofstream out(file, std::ios::binary);
  std::vector<int64_t> shape;
  DataType type = DataType::kFloat32;
  for (int64_t i = 0; i < count && out; ++i) {
    const std::vector<NamedArray> call = samples.call(i);
    const Array& array = call.front().array;
    std::vector<int64_t> expected = array.shape;
    expected.at(0) = count;
    if (i == 0) {
      shape = expected;
      type = array.type;
      const std::string header = header_of(type, shape);
      out.write(header.data(), static_cast<std::streamsize>(header.size()));
    }
    if (call.size() != 1 || array.shape[0] != 1 || expected != shape || array.type != type)
      fail(fmt::format("sample {} of '{}'", i + 1, samples.source()), "has another shape or type than the first one");
    out.write(reinterpret_cast<const char*>(array.bytes.data()), static_cast<std::streamsize>(array.bytes.size()));
  }
  out.close();
  if (!out) throw Error(fmt::format("'{}' cannot be written: {}", file.string(), std::strerror(errno)));
}

}  // namespace dnateq
