// Calibration and validation data as the user has it, read into one form: a list of calls.
//
// A call is one set of named input tensors for the network; it holds `samples` samples along the first axis.
// Accepted: `.npz` (arrays named as the model's inputs, first axis = samples), `.npy` (one input), a folder of `.npz`
// (one call each: ragged sequences, decoder states), a folder or .tar of JPEG/PNG images.
// Non-goals: training-time augmentation; any dependency on OpenVINO.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dnateq {

enum class DataType { kFloat32, kFloat64, kFloat16, kInt64, kInt32, kInt16, kInt8, kUint64, kUint32, kUint16, kUint8, kBool };
size_t size_of(DataType type);
const char* to_string(DataType type);

struct Array {  // C-contiguous
  DataType type = DataType::kFloat32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
  int64_t elements() const;
};

struct NamedArray {
  std::string name;  // empty: the model's only input
  Array array;
};

struct ImageOptions {
  std::vector<float> mean = {0, 0, 0};  // subtracted from the 0...255 pixel value, per channel
  std::vector<float> std = {1, 1, 1};   // divides afterwards
  int resize = 0;                       // shorter side to this many pixels, antialiased bilinear (triangle filter); 0 = keep
  int crop = 0;                         // centre crop to this square; 0 = keep
  std::string color = "rgb";            // rgb, bgr, gray
  std::string layout = "nchw";          // nchw, nhwc
};

// A source of samples that holds at most one call in memory at a time. Thread-safe reads.
class Samples {
 public:
  virtual ~Samples() = default;
  virtual int64_t size() const = 0;      // calls
  virtual std::vector<NamedArray> call(int64_t index) const = 0;
  // Names of the inputs (empty string for a nameless single input).
  virtual std::vector<std::string> inputs() const = 0;
  // Whether every call has one sample along axis 0 and calls of equal shape may be stacked there.
  virtual bool stackable() const = 0;
  virtual std::string source() const = 0;  // path as given, for messages
  virtual std::string fingerprint() const = 0;  // hex digest of content and options
  // Labels that the source itself carries (image names that begin with digits, an array `labels` is not taken): none.
};

// .npz / .npy: each sample along the first axis is a call of size 1. Throws Error for missing, truncated, foreign, empty
// or non-finite data.
std::unique_ptr<Samples> open_samples(const std::filesystem::path& path, const ImageOptions& images = {});

// Labels: .npy or .npz (array `labels` or its only array) of integers, or a text file with one integer a line.
std::vector<int64_t> read_labels(const std::filesystem::path& path);

}  // namespace dnateq
