#include "layer_file.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace dnateq::rtl {
namespace {

template <typename T>
void write_row(std::ofstream& out, const char* word, const std::vector<T>& values) {
  out << word;
  for (const T value : values) out << ' ' << value;
  out << '\n';
}

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file), in_(file) {}

  void word(const std::string& wanted) {
    std::string found;
    if (!(in_ >> found) || found != wanted) fail("'" + wanted + "' is missing");
  }
  int64_t number(int64_t least, int64_t most) {
    int64_t value = 0;
    if (!(in_ >> value) || value < least || value > most) fail("a number is missing or out of range");
    return value;
  }
  std::string rest_of_line() {
    std::string text;
    std::getline(in_ >> std::ws, text);
    return text;
  }
  template <typename T>
  std::vector<T> row(const std::string& name, size_t count, int64_t most) {
    word(name);
    std::vector<T> values;
    for (size_t i = 0; i < count; ++i) values.push_back(static_cast<T>(number(-most, most)));
    return values;
  }
  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error(file_ + " holds no counters of a layer: " + why);
  }

 private:
  std::string file_;
  std::ifstream in_;
};

}  // namespace

void write_counted_layer(const CountedLayer& layer, const std::string& file) {
  std::ofstream out(file);
  out << "dnateq counters 1\nlayer " << layer.name << "\nexponent_bits " << layer.exponent_bits << "\nhistograms "
      << layer.histograms << "\nsums " << layer.sums.size() << '\n';
  for (const CountedSum& sum : layer.sums) {
    out << "pairs " << sum.x.size() << '\n';
    write_row(out, "x", sum.x);
    write_row(out, "w", sum.w);
    write_row(out, "counters", sum.counters);
  }
  if (!out.flush()) throw std::runtime_error("cannot write " + file);
}

CountedLayer read_counted_layer(const std::string& file) {
  Reader in(file);
  CountedLayer layer;
  in.word("dnateq");
  in.word("counters");
  in.number(1, 1);
  in.word("layer");
  layer.name = in.rest_of_line();
  in.word("exponent_bits");
  layer.exponent_bits = static_cast<int>(in.number(2, 7));
  in.word("histograms");
  layer.histograms = static_cast<int>(in.number(1, 4));
  if (layer.histograms != 1 && layer.histograms != 4) in.fail("there are 1 or 4 histograms");
  in.word("sums");
  const int64_t sums = in.number(1, 1000000), largest = int64_t{1} << layer.exponent_bits;
  for (int64_t i = 0; i < sums; ++i) {
    in.word("pairs");
    const auto pairs = static_cast<size_t>(in.number(1, 1000000));
    CountedSum sum;
    sum.x = in.row<int>("x", pairs, largest);
    sum.w = in.row<int>("w", pairs, largest);
    sum.counters = in.row<int64_t>("counters", layer.rows(), static_cast<int64_t>(pairs));
    layer.sums.push_back(std::move(sum));
  }
  return layer;
}

}  // namespace dnateq::rtl
