#include "graph/disk_constants.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "data/scratch_file.h"
#include "dnateq/error.h"
#include "graph/tensor_store.h"

namespace dnateq {
namespace {

using ov::op::v0::Constant;

constexpr size_t kFewestBytes = size_t{1} << 18;  // smaller ones are norms and biases

// The mappings that Constants hold, by where they begin. A mark on the Constant would not do: OpenVINO hands marks on
// to what it computes of them, which lies elsewhere.
class Mappings {
 public:
  static Mappings& all() {
    static Mappings* const mappings = new Mappings;  // Constants may outlive what ends with the program
    return *mappings;
  }
  void add(const void* begin, size_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes_[begin] = bytes;
  }
  void remove(const void* begin) {
    const std::lock_guard lock(mutex_);
    bytes_.erase(begin);
  }
  bool has(const void* begin, size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto at = bytes_.find(begin);
    return at != bytes_.end() && at->second == bytes;
  }

 private:
  std::mutex mutex_;
  std::map<const void*, size_t> bytes_;
};

struct Mapping {
  Mapping(std::shared_ptr<const std::byte> of_file, size_t bytes) : begin(std::move(of_file)) {
    Mappings::all().add(begin.get(), bytes);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { Mappings::all().remove(begin.get()); }

  const std::shared_ptr<const std::byte> begin;
};

std::shared_ptr<Constant> in_memory(const ov::Shape& shape, std::span<const float> values) {
  return std::make_shared<Constant>(ov::element::f32, shape, values.data());
}

// Folds what is computed from Constants alone, each such output once.
class Folder {
 public:
  explicit Folder(const ov::Model& model) {
    for (const auto& node : model.get_ordered_ops()) {
      const auto inputs = node->input_values();
      fixed_[node.get()] = ov::is_type<Constant>(node) ||
                           (!inputs.empty() && std::all_of(inputs.begin(), inputs.end(), [this](const auto& input) {
                             return fixed_.at(input.get_node());
                           }));
    }
  }

  bool is_fixed(const ov::Output<ov::Node>& output) const {
    const auto at = fixed_.find(output.get_node());
    return at == fixed_.end() || at->second;  // others are Constants that came since
  }

  // The output's Constant; null where OpenVINO cannot compute it.
  std::shared_ptr<Constant> fold(const ov::Output<ov::Node>& output) const {
    const auto node = output.get_node_shared_ptr();
    if (auto constant = ov::as_type_ptr<Constant>(node)) return constant;
    ov::OutputVector inputs, folded(node->get_output_size());
    for (const auto& input : node->input_values()) {
      const auto constant = fold(input);
      if (!constant) return nullptr;
      inputs.push_back(constant);
    }
    if (!node->constant_fold(folded, inputs)) return nullptr;
    return ov::as_type_ptr<Constant>(folded[output.get_index()].get_node_shared_ptr());
  }

 private:
  std::unordered_map<const ov::Node*, bool> fixed_;
};

// Copies of Constants that lie in the network's file, which stays in memory as long as one of them does.
class Detacher {
 public:
  void detach(const std::shared_ptr<ov::Node>& node) {
    for (auto input : node->inputs()) {
      const auto constant = ov::as_type_ptr<Constant>(input.get_source_output().get_node_shared_ptr());
      if (!constant || is_on_disk(*constant) || constant->get_element_type() == ov::element::string) continue;
      auto& copy = copies_[constant.get()];
      if (!copy) {
        copy = copy_of(*constant);
        kept_.push_back(constant);
      }
      input.replace_source_output(copy);
    }
  }

 private:
  // Those that share their memory do so as copies.
  std::shared_ptr<Constant> copy_of(const Constant& constant) {
    auto& values = values_[{constant.get_data_ptr(), constant.get_byte_size()}];
    if (!values)
      values = std::make_shared<Constant>(constant.get_element_type(), constant.get_shape(), constant.get_data_ptr());
    auto copy = std::make_shared<Constant>(constant.get_element_type(), constant.get_shape(), values->get_data_ptr(),
                                           std::shared_ptr<void>(values));
    copy->set_friendly_name(constant.get_friendly_name());
    copy->get_rt_info() = constant.get_rt_info();
    copy->output(0).set_names(constant.output(0).get_names());
    return copy;
  }

  std::map<std::pair<const void*, size_t>, std::shared_ptr<Constant>> values_;
  std::unordered_map<const Constant*, std::shared_ptr<Constant>> copies_;
  std::vector<std::shared_ptr<Constant>> kept_;  // so that no other takes its address
};

void visit_above(const std::shared_ptr<ov::Node>& node, std::unordered_set<const ov::Node*>& seen, Detacher& detacher) {
  if (!seen.insert(node.get()).second) return;
  detacher.detach(node);
  for (const auto& input : node->input_values()) visit_above(input.get_node_shared_ptr(), seen, detacher);
}

bool is_large(const ov::Output<ov::Node>& output) {
  return output.get_element_type() == ov::element::f32 && output.get_partial_shape().is_static() &&
         ov::shape_size(output.get_shape()) * sizeof(float) >= kFewestBytes;
}

}  // namespace

std::shared_ptr<Constant> constant_on_disk(const ov::Shape& shape, std::span<const float> values) {
  if (values.size_bytes() < kFewestBytes) return in_memory(shape, values);
  std::shared_ptr<const std::byte> mapped;
  try {
    ScratchFile file(TensorStore::default_folder());
    if (file.write(0, std::as_bytes(values)) == 0) mapped = file.map(values.size_bytes());
  } catch (const Error&) {  // memory serves as well
  }
  if (!mapped) return in_memory(shape, values);
  const auto owner = std::make_shared<Mapping>(mapped, values.size_bytes());
  return std::make_shared<Constant>(ov::element::f32, shape, mapped.get(), owner);
}

std::shared_ptr<Constant> constant_in_place_of(const Constant& old, const ov::Shape& shape,
                                               std::span<const float> values) {
  auto constant = is_on_disk(old) ? constant_on_disk(shape, values) : in_memory(shape, values);
  constant->set_friendly_name(old.get_friendly_name());
  return constant;
}

bool is_on_disk(const Constant& constant) {
  return constant.get_byte_size() >= kFewestBytes &&
         Mappings::all().has(constant.get_data_ptr(), constant.get_byte_size());
}

void leave_memory(const Constant& constant) {
  if (!is_on_disk(constant)) return;
  // A mapping begins with a page and is read only: its pages are those of the file.
  madvise(const_cast<void*>(constant.get_data_ptr()), constant.get_byte_size(), MADV_DONTNEED);
}

void leave_memory(const ov::Model& model) {
  bool any = false;
  for (const auto& node : model.get_ops())
    if (const auto constant = ov::as_type_ptr<Constant>(node); constant && is_on_disk(*constant)) {
      leave_memory(*constant);
      any = true;
    }
  if (any) malloc_trim(0);
}

void fold_weights_to_disk(const std::shared_ptr<ov::Model>& model, const ov::SinkVector& beside) {
  const Folder folder(*model);
  for (const auto& node : model->get_ordered_ops()) {
    for (auto input : node->inputs()) {
      ov::Output<ov::Node> source = input.get_source_output();
      if (folder.is_fixed(node->output(0)) || !folder.is_fixed(source) || !is_large(source)) continue;
      const auto values = folder.fold(source);
      if (!values || is_on_disk(*values)) continue;
      const auto constant =
          constant_on_disk(values->get_shape(), {values->get_data_ptr<float>(), ov::shape_size(values->get_shape())});
      constant->set_friendly_name(source.get_node()->get_friendly_name());
      leave_memory(*constant);
      for (auto reader : source.get_target_inputs()) reader.replace_source_output(constant);
    }
  }
  Detacher detacher;
  std::unordered_set<const ov::Node*> seen;
  for (const auto& node : model->get_ordered_ops()) detacher.detach(node);
  for (const auto& sink : beside) visit_above(sink, seen, detacher);
}

}  // namespace dnateq
