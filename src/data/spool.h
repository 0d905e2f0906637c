// Samples that a program hands over one after the other. They go to a file at once, so that memory does not grow with
// their number.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/file.h"
#include "data/samples.h"
#include "data/scratch_file.h"

namespace dnateq {

class Spool final : public Samples {
 public:
  struct View {  // C-contiguous
    DataType type;
    std::vector<int64_t> shape;
    std::span<const std::byte> bytes;
  };

  // A file in `folder`, without a name: it goes with this object, or the process. `source` is what messages call the
  // samples; `inputs` names the arrays of every call. Throws Error if there can be no file.
  Spool(const std::filesystem::path& folder, std::string source, std::vector<std::string> inputs);

  // One call: an array for each of `inputs`, in their order. Throws Error for NaN, infinity and a full disk; the call
  // is not there then.
  void add(std::span<const View> arrays);

  int64_t size() const override { return static_cast<int64_t>(calls_.size()); }
  std::vector<NamedArray> call(int64_t index) const override;
  std::vector<std::string> inputs() const override { return inputs_; }
  // So far every array of every call has a first axis of 1 and, by input, one shape.
  bool stackable() const override { return stackable_; }
  std::string source() const override { return source_; }
  std::string fingerprint() const override;

 private:
  struct Place {
    DataType type;
    std::vector<int64_t> shape;
    int64_t offset;
  };

  std::string source_;
  std::vector<std::string> inputs_;
  ScratchFile file_;
  int64_t end_ = 0;
  bool stackable_ = true;
  std::vector<std::vector<Place>> calls_;
  Fingerprint fingerprint_;
};

}  // namespace dnateq
