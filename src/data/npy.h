// Reads NumPy's `.npy` (format versions 1 to 3) into a C-contiguous, little-endian Array.
//
// Layout of the file: "\x93NUMPY", major, minor, length of the header (2 bytes in version 1, else 4; little-endian),
// the header (a Python dict literal with 'descr', 'fortran_order' and 'shape'), the data. Accepted: bool, (u)int8 ...
// (u)int64, float16, float32, float64, either byte order, Fortran order (transposed here). Refused with Error: objects,
// text, structures, complex and long double; data shorter or longer than the header says. Non-goal: several arrays in
// one file. Writes calls as one such file, for programs of others. Source: numpy.lib.format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/samples.h"

namespace dnateq {

struct NpyHeader {
  DataType type = DataType::kFloat32;
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<int64_t> shape;  // the product of its non-zero extents, times the item size, fits int64_t
  size_t data_offset = 0;      // bytes before the data
};

bool has_npy_magic(std::span<const std::byte> file);

// `where` begins the sentence of an Error: "'calib.npz': array 'x'". `file` may end anywhere after the header.
NpyHeader parse_npy_header(std::span<const std::byte> file, const std::string& where);

// Takes the file's bytes over, so that a large array is not held twice (unless it has to be transposed).
Array parse_npy(std::vector<std::byte> file, const std::string& where);

// Writes the first `count` calls, of one input each and one sample along the first axis, as one array. Throws Error
// where calls differ in type or in another axis, and where the file cannot be written.
void write_npy(const std::filesystem::path& file, const Samples& samples, int64_t count);

}  // namespace dnateq
