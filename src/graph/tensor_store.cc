#include "graph/tensor_store.h"

#include <fmt/format.h>

#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "data/scratch_file.h"
#include "dnateq/error.h"

namespace dnateq {

// What all tensors share.
struct TensorStore::Room {
  const size_t memory_bytes;
  const std::filesystem::path folder;
  std::mutex mutex;
  size_t used_memory = 0;
  std::optional<ScratchFile> file;
  bool file_failed = false;
  int64_t end = 0;                  // of the file
  std::map<int64_t, int64_t> gaps;  // in the file: offset -> bytes; no two touch

  Room(size_t most, std::filesystem::path where) : memory_bytes(most), folder(std::move(where)) {}

  // The mutex must be held, for both.
  int64_t take(int64_t bytes) {
    for (auto gap = gaps.begin(); gap != gaps.end(); ++gap) {
      if (gap->second < bytes) continue;
      const auto [offset, room] = *gap;
      gaps.erase(gap);
      if (room > bytes) gaps.emplace(offset + bytes, room - bytes);
      return offset;
    }
    return std::exchange(end, end + bytes);
  }
  void give_back(int64_t offset, int64_t bytes) {
    auto gap = gaps.emplace(offset, bytes).first;
    if (const auto next = std::next(gap); next != gaps.end() && offset + bytes == next->first) {
      gap->second += next->second;
      gaps.erase(next);
    }
    if (gap == gaps.begin()) return;
    if (const auto before = std::prev(gap); before->first + before->second == offset) {
      before->second += gap->second;
      gaps.erase(gap);
    }
  }
};

struct TensorStore::Kept::Place {
  std::shared_ptr<Room> room;
  ov::element::Type type;
  ov::Shape shape;
  size_t bytes = 0;
  ov::Tensor tensor;     // if in memory
  int64_t offset = -1;   // else in the file
  bool counted = false;  // in the room's memory

  ~Place() {
    const std::lock_guard lock(room->mutex);
    if (counted) room->used_memory -= bytes;
    if (offset >= 0) room->give_back(offset, static_cast<int64_t>(bytes));
  }
};

TensorStore::TensorStore(size_t memory_bytes, std::filesystem::path folder)
    : room_(std::make_shared<Room>(memory_bytes, std::move(folder))) {}

TensorStore::Kept TensorStore::keep(const ov::Tensor& values) {
  ov::Tensor tensor = values;
  const bool empty = values.get_size() == 0;  // OpenVINO's copy_to() may crash on such a tensor
  if (!empty && !values.is_continuous()) {
    tensor = ov::Tensor(values.get_element_type(), values.get_shape());
    values.copy_to(tensor);
  }
  const auto place = std::make_shared<Kept::Place>();
  place->room = room_;
  place->type = tensor.get_element_type();
  place->shape = tensor.get_shape();
  place->bytes = tensor.get_byte_size();
  {
    const std::lock_guard lock(room_->mutex);
    if (room_->used_memory + place->bytes <= room_->memory_bytes) {
      room_->used_memory += place->bytes;
      place->counted = true;
    } else if (!room_->file_failed) {
      try {
        if (!room_->file) room_->file.emplace(room_->folder);
        place->offset = room_->take(static_cast<int64_t>(place->bytes));
      } catch (const Error&) {
        room_->file_failed = true;
      }
    }
  }
  if (place->offset >= 0) {
    const std::span bytes(static_cast<const std::byte*>(tensor.data()), place->bytes);
    if (room_->file->write(place->offset, bytes) != 0) {
      const std::lock_guard lock(room_->mutex);
      room_->file_failed = true;
      room_->give_back(std::exchange(place->offset, -1), static_cast<int64_t>(place->bytes));
    }
  }
  if (place->offset < 0) {
    place->tensor = ov::Tensor(place->type, place->shape);
    if (!empty) tensor.copy_to(place->tensor);
  }
  Kept kept;
  kept.place_ = place;
  return kept;
}

const ov::Shape& TensorStore::Kept::shape() const { return place_->shape; }

bool TensorStore::Kept::in_memory() const { return place_->offset < 0; }

ov::Tensor TensorStore::Kept::load() const {
  if (in_memory()) return place_->tensor;
  ov::Tensor tensor(place_->type, place_->shape);
  if (const int failed =
          place_->room->file->read(place_->offset, {static_cast<std::byte*>(tensor.data()), place_->bytes}))
    throw Error(fmt::format("what was kept in a temporary file in '{}' cannot be read again: {}",
                            place_->room->folder.string(), std::strerror(failed)));
  return tensor;
}

std::filesystem::path TensorStore::default_folder() {
  std::error_code failed;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(failed);
  return failed ? "." : folder;
}

}  // namespace dnateq
