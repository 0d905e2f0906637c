#include "data/batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <numeric>
#include <utility>

#include "data/file.h"

namespace dnateq {
namespace {

constexpr size_t kKeptBytes = size_t{256} << 20;

// What both forms have of the source.
class Batches : public Samples {
 public:
  Batches(std::shared_ptr<const Samples> data, std::vector<int64_t> counts)
      : data_(std::move(data)), counts_(std::move(counts)) {}

  std::vector<std::string> inputs() const override { return data_->inputs(); }
  std::string source() const override { return data_->source(); }

 protected:
  const Samples& data() const { return *data_; }
  const std::vector<int64_t>& counts() const { return counts_; }

 private:
  std::shared_ptr<const Samples> data_;
  std::vector<int64_t> counts_;
};

class CountedCalls final : public Batches {
 public:
  using Batches::Batches;
  int64_t size() const override { return data().size(); }
  std::vector<NamedArray> call(int64_t index) const override { return data().call(index); }
  int64_t samples_in(int64_t index) const override { return counts().at(static_cast<size_t>(index)); }
  uint64_t sample_hash(int64_t index) const override { return data().sample_hash(index); }
  bool stackable() const override { return false; }
  std::string fingerprint() const override { return data().fingerprint(); }
};

class CutCalls final : public Batches {
 public:
  CutCalls(std::shared_ptr<const Samples> data, size_t axis, std::vector<int64_t> counts, bool is_stackable)
      : Batches(std::move(data), std::move(counts)), axis_(axis), stackable_(is_stackable) {
    for (size_t i = 0; i < this->counts().size(); ++i)
      for (int64_t at = 0; at < this->counts()[i]; ++at) places_.push_back({static_cast<int64_t>(i), at});
  }

  int64_t size() const override { return static_cast<int64_t>(places_.size()); }
  bool stackable() const override { return stackable_; }

  std::vector<NamedArray> call(int64_t index) const override {
    const Place& place = places_.at(static_cast<size_t>(index));
    return cut(*whole(place.call), axis_, counts()[static_cast<size_t>(place.call)], place.at);
  }

  std::string fingerprint() const override {
    Fingerprint hash;
    hash.add_text("cut calls");
    hash.add_text(data().fingerprint());
    hash.add_integer(static_cast<int64_t>(axis_));
    return hash.hex();
  }

 private:
  struct Place {
    int64_t call, at;
  };
  using Call = std::shared_ptr<const std::vector<NamedArray>>;
  struct Kept {
    int64_t index;
    Call call;
    size_t bytes;
  };

  Call whole(int64_t index) const {
    {
      const std::scoped_lock lock(mutex_);
      const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& one) { return one.index == index; });
      if (found != kept_.end()) {
        kept_.splice(kept_.begin(), kept_, found);
        return kept_.front().call;
      }
    }
    auto read = std::make_shared<const std::vector<NamedArray>>(data().call(index));
    size_t bytes = 0;
    for (const NamedArray& named : *read) bytes += named.array.bytes.size();
    const std::scoped_lock lock(mutex_);
    kept_.push_front({index, read, bytes});
    kept_bytes_ += bytes;
    while (kept_bytes_ > kKeptBytes && kept_.size() > 1) {
      kept_bytes_ -= kept_.back().bytes;
      kept_.pop_back();
    }
    return read;
  }

  size_t axis_;
  bool stackable_;
  std::vector<Place> places_;
  mutable std::mutex mutex_;
  mutable std::list<Kept> kept_;  // latest first
  mutable size_t kept_bytes_ = 0;
};

}  // namespace

std::vector<std::vector<int64_t>> extents_of(const std::vector<NamedArray>& call) {
  std::vector<std::vector<int64_t>> shapes;
  for (const NamedArray& named : call) shapes.push_back(named.array.shape);
  return shapes;
}

std::vector<NamedArray> cut(const std::vector<NamedArray>& call, size_t axis, int64_t count, int64_t at) {
  std::vector<NamedArray> one;
  for (const NamedArray& named : call) {
    const Array& array = named.array;
    if (array.shape.size() <= axis || array.shape[axis] != count) {
      one.push_back(named);
      continue;
    }
    Array slice{.type = array.type, .shape = array.shape, .bytes = {}};
    slice.shape[axis] = 1;
    const auto product = [&](size_t begin, size_t end) {
      size_t values = 1;
      for (size_t i = begin; i < end; ++i) values *= static_cast<size_t>(array.shape[i]);
      return values;
    };
    const size_t outer = product(0, axis), inner = product(axis + 1, array.shape.size()) * size_of(array.type);
    for (size_t i = 0; i < outer; ++i) {
      const auto begin = array.bytes.begin() +
                         static_cast<ptrdiff_t>((i * static_cast<size_t>(count) + static_cast<size_t>(at)) * inner);
      slice.bytes.insert(slice.bytes.end(), begin, begin + static_cast<ptrdiff_t>(inner));
    }
    one.push_back({named.name, std::move(slice)});
  }
  return one;
}

std::shared_ptr<const Samples> cut_calls(std::shared_ptr<const Samples> data, size_t axis, std::vector<int64_t> counts,
                                         bool stackable) {
  return std::make_shared<CutCalls>(std::move(data), axis, std::move(counts), stackable);
}

std::shared_ptr<const Samples> count_in_calls(std::shared_ptr<const Samples> data, std::vector<int64_t> counts) {
  return std::make_shared<CountedCalls>(std::move(data), std::move(counts));
}

}  // namespace dnateq
