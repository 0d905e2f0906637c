#include "data/spool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "dnateq/error.h"

namespace dnateq {

Spool::Spool(const std::filesystem::path& folder, std::string source, std::vector<std::string> inputs)
    : source_(std::move(source)), inputs_(std::move(inputs)), file_(folder) {}

void Spool::add(std::span<const View> arrays) {
  if (arrays.size() != inputs_.size())
    throw Error(fmt::format("sample {} of {} holds {} arrays, and the model has {} inputs", size(), source_,
                            arrays.size(), inputs_.size()));
  if (std::all_of(arrays.begin(), arrays.end(), [](const View& array) { return array.bytes.empty(); }))
    throw Error(fmt::format("sample {} of {} holds no values; leave it out", size(), source_));
  std::vector<Place> call;
  int64_t at = end_;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const View& array = arrays[i];
    if (!all_finite(array.type, array.bytes))
      throw Error(fmt::format("sample {} of {}: array '{}' holds NaN or infinity; leave it out or repair it", size(),
                              source_, inputs_[i]));
    if (const int failed = file_.write(at, array.bytes))
      throw Error(fmt::format("the samples of {} cannot be kept on disk: {}; set TMPDIR to a folder with more space",
                              source_, std::strerror(failed)));
    call.push_back({array.type, array.shape, at});
    at += static_cast<int64_t>(array.bytes.size());
  }
  for (size_t i = 0; i < arrays.size(); ++i) {
    const View& array = arrays[i];
    stackable_ = stackable_ && !array.shape.empty() && array.shape[0] == 1 &&
                 (calls_.empty() || calls_[0][i].shape == array.shape);
    fingerprint_.add_text(inputs_[i]);
    fingerprint_.add_text(to_string(array.type));
    for (const int64_t dimension : array.shape) fingerprint_.add_integer(dimension);
    fingerprint_.add(array.bytes);
  }
  end_ = at;
  calls_.push_back(std::move(call));
}

std::vector<NamedArray> Spool::call(int64_t index) const {
  if (index < 0 || index >= size()) throw Error(fmt::format("{} has no call {}, only {}", source_, index, size()));
  std::vector<NamedArray> arrays;
  const std::vector<Place>& places = calls_[static_cast<size_t>(index)];
  for (size_t i = 0; i < places.size(); ++i) {
    Array array{.type = places[i].type, .shape = places[i].shape, .bytes = {}};
    array.bytes.resize(static_cast<size_t>(array.elements()) * size_of(array.type));
    if (const int failed = file_.read(places[i].offset, array.bytes))
      throw Error(fmt::format("the samples of {} cannot be read again: {}", source_, std::strerror(failed)));
    arrays.push_back({inputs_[i], std::move(array)});
  }
  return arrays;
}

std::string Spool::fingerprint() const { return fingerprint_.hex(); }

}  // namespace dnateq
