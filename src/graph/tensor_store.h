// Tensors that wait until they are needed: in memory up to a limit, beyond it in a temporary file (in TMPDIR), so that
// memory does not grow with the number of calibration samples.
#pragma once

#include <filesystem>
#include <memory>
#include <openvino/openvino.hpp>

namespace dnateq {

class TensorStore {
 public:
  // Where the file cannot be made, or its disk is full, memory serves beyond the limit too.
  explicit TensorStore(size_t memory_bytes, std::filesystem::path folder = default_folder());

  // A tensor that is kept; its room is free again when the last copy of this goes. May outlive the store.
  class Kept {
   public:
    const ov::Shape& shape() const;
    size_t elements() const { return ov::shape_size(shape()); }
    bool in_memory() const;
    // The tensor itself, not to be written to, or a copy read from the file. Throws Error if that fails.
    ov::Tensor load() const;

   private:
    friend class TensorStore;
    struct Place;
    std::shared_ptr<const Place> place_;
  };

  // A copy of the tensor's values. May be called from several threads.
  Kept keep(const ov::Tensor& tensor);

  static std::filesystem::path default_folder();

 private:
  struct Room;
  std::shared_ptr<Room> room_;
};

}  // namespace dnateq
