// Calibration and validation data as the user has it, read into one form: a list of calls.
//
// A call is one set of named input tensors for the network: one sample, unless it comes as a batch that cannot be cut.
// Accepted: `.npz` (arrays named as the model's inputs, first axis = samples), `.npy` (one input), a folder of `.npz`
// (one call each: ragged sequences, decoder states), a folder or .tar of JPEG/PNG images. Files of a folder or archive
// are taken in the byte order of their names; hidden ones and other kinds are passed over.
// Non-goals: training-time augmentation; any dependency on OpenVINO.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace dnateq {

enum class DataType {
  kFloat32,
  kFloat64,
  kFloat16,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUint64,
  kUint32,
  kUint16,
  kUint8,
  kBool
};
size_t size_of(DataType type);
const char* to_string(DataType type);

struct Array {  // C-contiguous
  DataType type = DataType::kFloat32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
  int64_t elements() const;
};

// Whether none of these values is NaN or infinite; integers always are.
bool all_finite(DataType type, std::span<const std::byte> values);

struct NamedArray {
  std::string name;  // empty: the model's only input
  Array array;
};

// Applied in this order: colour, resize, crop, mean, std, layout. Alpha is dropped and 16-bit samples are scaled to 8,
// as if the image had been saved as plain RGB; EXIF orientation is not applied (Pillow does the same unless told).
struct ImageOptions {
  std::vector<float> mean = {0, 0, 0};  // subtracted from the 0...255 pixel value, per channel or one for all
  std::vector<float> std = {1, 1, 1};   // divides afterwards
  int resize = 0;                       // shorter side to this many pixels, antialiased bilinear (triangle); 0 = keep
  int crop = 0;                         // centre crop to this square; 0 = keep
  std::string color = "rgb";            // rgb, bgr, gray
  std::string layout = "nchw";          // nchw, nhwc
};

// A source of samples. Folders and archives are read one call at a time; a .npz or .npy file is held in memory. Every
// method may be called from several threads.
class Samples {
 public:
  virtual ~Samples() = default;
  virtual int64_t size() const = 0;  // calls
  // Throws Error if the sample is damaged or holds NaN or infinity.
  virtual std::vector<NamedArray> call(int64_t index) const = 0;
  // Names of the inputs (empty string for a nameless single input).
  virtual std::vector<std::string> inputs() const = 0;
  // How many samples a call holds (batches.h).
  virtual int64_t samples_in(int64_t /*call*/) const { return 1; }
  // The same for equal calls, and for hardly any others: types, shapes and values of the arrays, or an image's file.
  virtual uint64_t sample_hash(int64_t index) const;
  // Whether every call has one sample along axis 0 and calls of equal shape may be stacked there. A folder of .npz is
  // never stackable: its calls are taken as they are.
  virtual bool stackable() const = 0;
  virtual std::string source() const = 0;       // path as given, for messages
  virtual std::string fingerprint() const = 0;  // 16 hex digits: content, image options, chosen inputs; not the path
};

// .npz / .npy: each sample along the first axis is a call of size 1. Throws Error for missing, truncated, foreign or
// empty data. `only_inputs`: the arrays to take from each .npz, in this order (all must be there; others, such as
// labels, are not even read); empty = all of them. It has no effect where arrays have no names (.npy, images).
std::unique_ptr<Samples> open_samples(const std::filesystem::path& path, const ImageOptions& images = {},
                                      const std::vector<std::string>& only_inputs = {});

// Labels: .npy or .npz (array `labels` or its only array) of integers, or a text file with one integer a line.
std::vector<int64_t> read_labels(const std::filesystem::path& path);

// Labels that the images of a folder or .tar carry as the leading digits of their names (`0042_cat.jpg` is 42), in the
// order of open_samples. Throws Error naming the first image whose name does not begin with a digit.
std::vector<int64_t> labels_from_image_names(const std::filesystem::path& path);

}  // namespace dnateq
