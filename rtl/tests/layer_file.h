// Counters of sums of a trained network's layer, with the codes they count: what the library's counting (the golden
// model) gives, for the RTL to give too.
//
// Text. `dnateq counters 1`, then `layer NAME`, `exponent_bits N`, `histograms 1|4`, `sums S`; then for each sum
// `pairs K`, `x` and `w` with K codes each (0: zero; else exponent + 1, negative for negative codes), and `counters`
// with a number for each row of the lane, in its order (counting_lane.sv). Source: layer_counters.cc writes it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dnateq::rtl {

struct CountedSum {
  std::vector<int> x, w;  // codes as above
  std::vector<int64_t> counters;
};

struct CountedLayer {
  std::string name;
  int exponent_bits = 0, histograms = 0;
  std::vector<CountedSum> sums;

  size_t rows() const {
    return (histograms == 4 ? size_t{4} : size_t{2}) * (size_t{1} << exponent_bits) - (histograms == 4 ? 0 : 1);
  }
};

// Throw std::runtime_error naming the file.
void write_counted_layer(const CountedLayer& layer, const std::string& file);
CountedLayer read_counted_layer(const std::string& file);

}  // namespace dnateq::rtl
