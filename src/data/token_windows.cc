#include "data/token_windows.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "core/hash.h"
#include "core/option.h"
#include "dnateq/error.h"

namespace dnateq {
namespace {

template <typename T>
Array array_of(DataType type, std::vector<int64_t> shape, const std::vector<T>& values) {
  Array array{type, std::move(shape), std::vector<std::byte>(values.size() * sizeof(T))};
  std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
  return array;
}

class TokenWindows : public Samples {
 public:
  TokenWindows(TokenText text, int64_t context, std::vector<int64_t> starts)
      : text_(std::move(text)), context_(context), starts_(std::move(starts)) {}

  int64_t size() const override { return static_cast<int64_t>(starts_.size()); }

  std::vector<NamedArray> call(int64_t index) const override {
    std::vector<int64_t> ids, positions(static_cast<size_t>(context_));
    if (text_.prefix) ids.push_back(*text_.prefix);
    const auto begin = text_.tokens.begin() + starts_[static_cast<size_t>(index)];
    ids.insert(ids.end(), begin, begin + context_ - static_cast<int64_t>(ids.size()));
    std::iota(positions.begin(), positions.end(), int64_t{0});
    const std::vector<int64_t> shape = {1, context_}, ones(static_cast<size_t>(context_), 1);
    return {{"input_ids", array_of(DataType::kInt64, shape, ids)},
            {"attention_mask", array_of(DataType::kInt64, shape, ones)},
            {"position_ids", array_of(DataType::kInt64, shape, positions)},
            {"beam_idx", array_of(DataType::kInt32, {1}, std::vector<int32_t>{0})}};
  }

  std::vector<std::string> inputs() const override {
    return {"input_ids", "attention_mask", "position_ids", "beam_idx"};
  }
  bool stackable() const override { return false; }
  std::string source() const override { return text_.source; }

  std::string fingerprint() const override {
    uint64_t hash = fnv1a(std::as_bytes(std::span(text_.tokens)));
    hash = fnv1a(std::as_bytes(std::span(starts_)), hash);
    const std::vector<int64_t> rest = {context_, text_.prefix.value_or(-1)};
    return to_hex(fnv1a(std::as_bytes(std::span(rest)), hash));
  }

 private:
  TokenText text_;
  int64_t context_;
  std::vector<int64_t> starts_;
};

class FirstTokens : public Samples {
 public:
  FirstTokens(const Samples& samples, int64_t tokens) : samples_(samples), tokens_(tokens) {}

  int64_t size() const override { return samples_.size(); }
  std::vector<NamedArray> call(int64_t index) const override {
    std::vector<NamedArray> arrays = samples_.call(index);
    for (NamedArray& named : arrays) cut(named.array);
    return arrays;
  }
  std::vector<std::string> inputs() const override { return samples_.inputs(); }
  bool stackable() const override { return samples_.stackable(); }
  std::string source() const override { return samples_.source(); }
  std::string fingerprint() const override { return fmt::format("{}|{}", samples_.fingerprint(), tokens_); }

 private:
  void cut(Array& array) const {
    if (array.shape.size() != 2 || array.shape[1] <= tokens_) return;
    const auto from = static_cast<size_t>(array.shape[1]) * size_of(array.type),
               to = static_cast<size_t>(tokens_) * size_of(array.type);
    for (size_t row = 0; row < static_cast<size_t>(array.shape[0]); ++row)
      std::memmove(array.bytes.data() + row * to, array.bytes.data() + row * from, to);
    array.shape[1] = tokens_;
    array.bytes.resize(static_cast<size_t>(array.shape[0]) * to);
  }

  const Samples& samples_;
  int64_t tokens_;
};

}  // namespace

std::unique_ptr<Samples> first_tokens(const Samples& samples, int64_t tokens) {
  return std::make_unique<FirstTokens>(samples, tokens);
}

std::unique_ptr<Samples> token_windows(const TokenText& text, int64_t context, int64_t most) {
  const int64_t step = context - (text.prefix ? 1 : 0);
  const int64_t count = step > 0 ? static_cast<int64_t>(text.tokens.size()) / step : 0;
  if (count == 0)
    throw Error(fmt::format("'{}' holds {} tokens, which fill no window of {}; give a longer text, or a smaller {}",
                            text.source, text.tokens.size(), context, option("context")));
  const int64_t wanted = most > 0 ? std::min(most, count) : count;
  std::vector<int64_t> starts;
  for (int64_t w = 0; w < wanted; ++w) starts.push_back(w * count / wanted * step);
  return std::make_unique<TokenWindows>(text, context, std::move(starts));
}

std::string read_text(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    throw Error(fmt::format("'{}' is a folder; give a text file", path));
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (!stream) throw Error(fmt::format("'{}' cannot be read: {}", path, std::strerror(errno)));
  if (text.empty()) throw Error(fmt::format("'{}' is empty; give a text", path));
  try {
    (void)nlohmann::json(text).dump();  // which refuses what is not UTF-8
  } catch (const nlohmann::json::type_error&) {
    throw Error(fmt::format("'{}' is not UTF-8; convert it, for instance with iconv", path));
  }
  return text;
}

}  // namespace dnateq
