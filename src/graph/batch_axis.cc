#include "graph/batch_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/option.h"
#include "data/batches.h"
#include "dnateq/error.h"
#include "graph/calls.h"

namespace dnateq {
namespace {

using Call = std::vector<NamedArray>;

// One call held in memory, so that Calls makes tensors of it.
class OneCall final : public Samples {
 public:
  OneCall(const Samples& like, Call call) : like_(like), call_(std::move(call)) {}
  int64_t size() const override { return 1; }
  Call call(int64_t) const override { return call_; }
  std::vector<std::string> inputs() const override { return like_.inputs(); }
  bool stackable() const override { return false; }
  std::string source() const override { return like_.source(); }
  std::string fingerprint() const override { return {}; }

 private:
  const Samples& like_;
  Call call_;
};

// Index `at` of every array along the first axis, `count` times.
Call repeated(const Call& call, int64_t count, int64_t at) {
  Call copies = cut(call, 0, count, at);
  for (size_t i = 0; i < call.size(); ++i) {
    if (copies[i].array.shape == call[i].array.shape) continue;
    const std::vector<std::byte> one = copies[i].array.bytes;
    copies[i].array.shape = call[i].array.shape;
    copies[i].array.bytes.clear();
    for (int64_t n = 0; n < count; ++n)
      copies[i].array.bytes.insert(copies[i].array.bytes.end(), one.begin(), one.end());
  }
  return copies;
}

class Finder {
 public:
  Finder(ov::Core& core, const std::shared_ptr<ov::Model>& model, const Samples& data)
      : core_(core), model_(model), data_(data), positions_(match_inputs(data, *model)) {}

  // Reads every call once. Where an extent differs among the inputs of a call: nothing, or an Error if it was `asked`.
  bool read_counts(size_t axis, bool asked) {
    axis_ = axis;
    asked_ = asked;
    for (int64_t index = 0; index < data_.size(); ++index) {
      const auto shapes = extents_of(data_.call(index));
      int64_t count = -1;
      for (size_t i = 0; i < positions_.size(); ++i) {
        const std::vector<int64_t>& shape = shapes.at(positions_[i]);
        if (asked && !has_axis(i)) continue;
        const int64_t extent = shape.size() > axis ? shape[axis] : -1;
        if (extent >= 1 && (count == -1 || count == extent)) {
          count = extent;
          continue;
        }
        if (!asked) return false;
        throw Error(
            fmt::format("call {} of '{}' has shape [{}] for model input '{}', which leaves its number of samples along "
                        "axis {} open; leave {} out",
                        index, data_.source(), fmt::join(shape, ","), name(i), axis, option("batch_axis")));
      }
      if (count < 1) {
        if (!asked) return false;
        throw Error(
            fmt::format("no input of the model has an axis {} that may hold any number of samples; leave {} out", axis,
                        option("batch_axis")));
      }
      // Where two samples of a batch differ in more than values, calls cannot be stacked again.
      std::vector<std::vector<int64_t>> rest;
      for (const size_t position : positions_) {
        rest.push_back(shapes[position]);
        if (rest.back().size() > axis) rest.back()[axis] = 1;
      }
      if (counts_.empty()) first_rest_ = rest;
      same_shapes_ = same_shapes_ && rest == first_rest_;
      counts_.push_back(count);
    }
    return true;
  }

  bool single() const {
    return std::all_of(counts_.begin(), counts_.end(), [](int64_t count) { return count == 1; });
  }

  const std::vector<int64_t>& counts() const { return counts_; }
  bool same_shapes() const { return same_shapes_; }

  // Whether all inputs that have the axis leave it open.
  bool is_dynamic() const {
    bool any = false;
    for (size_t i = 0; i < positions_.size(); ++i) {
      if (asked_ && !has_axis(i)) continue;
      any = true;
      if (!open_axis(i)) return false;
    }
    return any;
  }

  bool is_static() const {
    for (size_t i = 0; i < positions_.size(); ++i)
      if (open_axis(i)) return false;
    return true;
  }

  // A sample alone gives what it gave among others.
  bool proved_alone() {
    const auto [call, count] = probe();
    for (const int64_t at : {int64_t{0}, count - 1})
      if (!agrees(call, cut(call, 0, count, at), count, at, 1)) return false;
    return true;
  }

  // The same among copies of itself.
  bool proved_among_copies() {
    const auto [call, count] = probe();
    for (const int64_t at : {int64_t{0}, count - 1})
      if (!agrees(call, repeated(call, count, at), count, at, count)) return false;
    return true;
  }

 private:
  const ov::PartialShape& shape(size_t input) const { return model_->input(input).get_partial_shape(); }

  bool open_axis(size_t input) const {
    return shape(input).rank().is_dynamic() || (shape(input).size() > axis_ && shape(input)[axis_].is_dynamic());
  }

  // Of an axis that was asked for: inputs where it is static next to others where it is open belong to all samples.
  bool has_axis(size_t input) const {
    bool any_open = false;
    for (size_t i = 0; i < positions_.size(); ++i) any_open = any_open || open_axis(i);
    return any_open ? open_axis(input) : shape(input).size() > axis_;
  }

  std::string name(size_t input) const { return input_names(*model_).at(input); }

  std::pair<Call, int64_t> probe() const {
    const auto at = std::find_if(counts_.begin(), counts_.end(), [](int64_t count) { return count > 1; });
    return {data_.call(at - counts_.begin()), *at};
  }

  std::vector<ov::Tensor> run(const Call& call) {
    if (!compiled_) compiled_ = core_.compile_model(model_, "CPU", ov::hint::inference_precision(ov::element::f32));
    ov::InferRequest request = compiled_.create_infer_request();
    const OneCall one(data_, call);
    const std::vector<ov::Tensor> tensors = Calls(one, *model_).tensors(0);
    for (size_t i = 0; i < tensors.size(); ++i) request.set_input_tensor(i, tensors[i]);
    request.infer();
    std::vector<ov::Tensor> outputs;
    for (size_t i = 0; i < model_->outputs().size(); ++i) {
      const ov::Tensor got = request.get_output_tensor(i);
      ov::Tensor kept(got.get_element_type(), got.get_shape());
      got.copy_to(kept);
      outputs.push_back(kept);
    }
    return outputs;
  }

  // Whether in every output that has a row a sample, row `at` of `whole` is row 0 of `other`, which has `rows`; and
  // there is such an output.
  bool agrees(const Call& whole, const Call& other, int64_t count, int64_t at, int64_t rows) {
    try {
      const std::vector<ov::Tensor> expected = run(whole), got = run(other);
      bool any = false;
      for (size_t o = 0; o < expected.size(); ++o) {
        ov::Shape wanted = expected[o].get_shape();
        if (expected[o].get_element_type() != ov::element::f32 || wanted.empty() ||
            static_cast<int64_t>(wanted[0]) != count)
          continue;
        wanted[0] = static_cast<size_t>(rows);
        if (got[o].get_shape() != wanted) return false;
        const size_t width = expected[o].get_size() / static_cast<size_t>(count);
        if (width == 0) continue;
        const float* a = expected[o].data<const float>() + static_cast<size_t>(at) * width;
        const float* b = got[o].data<const float>();
        float largest = 0, difference = 0;
        for (size_t i = 0; i < width; ++i) {
          largest = std::max(largest, std::fabs(a[i]));
          difference = std::max(difference, std::fabs(a[i] - b[i]));
        }
        if (!(difference <= kRounding * largest)) return false;
        any = true;
      }
      return any;
    } catch (const ov::Exception&) {  // it does not take that many samples
      return false;
    } catch (const Error&) {
      return false;
    }
  }

  static constexpr float kRounding = 1e-3F;  // kernels may sum in another order when the batch is another

  ov::Core& core_;
  std::shared_ptr<ov::Model> model_;
  const Samples& data_;
  std::vector<size_t> positions_;
  size_t axis_ = 0;
  bool asked_ = false;
  std::vector<int64_t> counts_;
  std::vector<std::vector<int64_t>> first_rest_;
  bool same_shapes_ = true;
  ov::CompiledModel compiled_;
};

}  // namespace

std::shared_ptr<const Samples> as_samples(ov::Core& core, const std::shared_ptr<ov::Model>& model,
                                          std::shared_ptr<const Samples> data, std::optional<int64_t> asked) {
  if (data->stackable()) {
    if (asked.value_or(0) != 0)
      throw Error(fmt::format("'{}' counts samples along its first axis; {} is for folders of .npz", data->source(),
                              option("batch_axis", std::to_string(*asked))));
    return data;
  }
  Finder finder(core, model, *data);
  const auto axis = static_cast<size_t>(asked.value_or(0));
  if (!finder.read_counts(axis, asked.has_value()) || finder.single()) return data;
  const bool stackable = axis == 0 && finder.same_shapes();
  if (asked) {
    if (finder.is_dynamic()) return cut_calls(std::move(data), axis, finder.counts(), stackable);
    if (axis == 0) return count_in_calls(std::move(data), finder.counts());
    throw Error(
        fmt::format("axis {} of the model's inputs is fixed, so that {} cannot cut calls there; export the model with "
                    "an open axis of samples",
                    axis, option("batch_axis")));
  }
  if (finder.is_dynamic() && finder.proved_alone()) return cut_calls(std::move(data), axis, finder.counts(), stackable);
  if ((finder.is_dynamic() || finder.is_static()) && finder.proved_among_copies())
    return count_in_calls(std::move(data), finder.counts());
  return data;
}

}  // namespace dnateq
