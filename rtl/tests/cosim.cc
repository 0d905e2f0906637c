// Runs every part's RTL, verilated, against the reference, bit by bit and cycle by cycle.
//
//   cosim [--write FOLDER] [PART...]     all parts, or these; prints a line a part, exit status 1 if any differs
//   cosim --counters FILE                a trained layer's sums through every counting lane of its exponent bits: the
//                                        RTL's counters against those of the library's counting (layer_file.h)
//
// --write keeps what a PE's inputs and outputs were, so that its netlist can be held against them.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "Veverything.h"
#include "layer_file.h"
#include "parts_table.h"
#include "reference.h"
#include "verilated.h"

namespace dnateq::rtl {
namespace {

class Rtl {
 public:
  explicit Rtl(size_t part) {
    dut_.select_i = static_cast<uint16_t>(part);
    dut_.rst_ni = 1;
    dut_.clk_i = 1;
    dut_.eval();
    dut_.rst_ni = 0;
    for (int k = 0; k < 3; ++k) edge();
    dut_.rst_ni = 1;
    dut_.eval();
  }

  // One cycle: inputs after the edge, outputs before the next one.
  std::array<uint32_t, 3> cycle(const Vector& v) {
    for (size_t k = 0; k < 4; ++k) dut_.in_i[static_cast<int>(k)] = v.in[k];
    dut_.eval();
    dut_.clk_i = 0;
    dut_.eval();
    std::array<uint32_t, 3> out;
    for (size_t k = 0; k < 3; ++k) out[k] = dut_.out_o[static_cast<int>(k)];
    dut_.clk_i = 1;
    dut_.eval();
    return out;
  }

 private:
  void edge() {
    dut_.clk_i = 0;
    dut_.eval();
    dut_.clk_i = 1;
    dut_.eval();
  }
  Veverything dut_;
};

void write(const std::string& file, const std::vector<Vector>& vectors) {
  std::ofstream out(file);
  for (const Vector& v : vectors) out << v.line() << '\n';
  if (!out.flush()) throw std::runtime_error("cannot write " + file);
}

std::string test(size_t number, const Part& part, const std::string& folder) {
  Rtl rtl(number);
  if (part.name == "pe") {
    std::vector<Vector> trace;
    const int outputs = test_pe(part, [&](Vector& v) {
      const auto out = rtl.cycle(v);
      v.mask = {0x06000000, 0, 0};  // ready and valid always, the rest where valid
      if (out[0] >> 25 & 1) v.mask[0] |= 0x01ffffff;
      v.expected = out;
      trace.push_back(v);
      return out;
    });
    if (!folder.empty()) write(folder + "/" + std::string(part.id) + ".correctness.hex", trace);
    return std::to_string(outputs) + " outputs in " + std::to_string(trace.size()) + " cycles";
  }
  const std::vector<Vector> vectors = correctness_vectors(part);
  for (size_t k = 0; k < vectors.size(); ++k) {
    const auto out = rtl.cycle(vectors[k]);
    if (vectors[k].agrees(out)) continue;
    char text[160];
    std::snprintf(text, sizeof text, "cycle %zu: %08x%08x%08x, expected %08x%08x%08x", k, out[2], out[1], out[0],
                  vectors[k].expected[2], vectors[k].expected[1], vectors[k].expected[0]);
    throw std::runtime_error(text);
  }
  return std::to_string(vectors.size()) + " cycles";
}

// A lane that counts, and its counters, which it is drained of before they could overflow.
class CountingLane {
 public:
  CountingLane(size_t number, const Part& part)
      : part_(part), rtl_(number), counters_(static_cast<size_t>(part.rows())) {
    drain(false);  // rows have no reset
  }

  void pair(int x, int w) {
    if (pairs_ == part_.horizon()) drain(true);
    Vector v;
    v.set(0, 1, 1);
    v.set(2, 1, x == 0);
    v.set(3, 1, w == 0);
    operand(v, 4, x);
    operand(v, 12, w);
    rtl_.cycle(v);
    ++pairs_;
  }

  std::vector<int64_t> take() {
    drain(true);
    return std::exchange(counters_, std::vector<int64_t>(counters_.size()));
  }

 private:
  static void operand(Vector& v, int low, int code) {
    if (code == 0) return;
    v.set(low, 7, static_cast<uint64_t>(std::abs(code) - 1));
    v.set(low + 7, 1, code < 0);
  }

  void drain(bool counts) {
    for (int row = 0; row <= part_.rows(); ++row) {  // a row shows in the cycle after
      Vector v;
      if (row < part_.rows()) v.set(1, 1, 1), v.set(20, 12, static_cast<uint64_t>(row));
      const auto out = rtl_.cycle(v);
      if (counts && row > 0)
        counters_[static_cast<size_t>(row) - 1] +=
            static_cast<int64_t>(out[0] & ((1U << part_.term_bits()) - 1)) - part_.init();
    }
    pairs_ = 0;
  }

  Part part_;
  Rtl rtl_;
  std::vector<int64_t> counters_;
  int pairs_ = 0;
};

int run_counters(const std::string& file) {
  const CountedLayer layer = read_counted_layer(file);
  int lanes = 0, failed = 0;
  for (size_t number = 0; number < std::size(kParts); ++number) {
    const Part& part = kParts[number];
    const bool counts = part.design == (layer.histograms == 4 ? "counting" : "counting-beta0");
    if (part.name != "lane" || !counts || part.n != layer.exponent_bits) continue;
    ++lanes;
    CountingLane lane(number, part);
    size_t pairs = 0, wrong = 0;
    for (const CountedSum& sum : layer.sums) {
      for (size_t k = 0; k < sum.x.size(); ++k) lane.pair(sum.x[k], sum.w[k]);
      pairs += sum.x.size();
      wrong += lane.take() != sum.counters;
    }
    failed += wrong > 0;
    std::printf("%-34s %zu sums of %s, %zu pairs: %s\n", std::string(part.id).c_str(), layer.sums.size(),
                layer.name.c_str(), pairs,
                wrong == 0 ? "the library's counters"
                           : ("FAILED, " + std::to_string(wrong) + " sums' counters differ").c_str());
  }
  if (lanes == 0) {
    std::fprintf(stderr, "cosim: no lane here counts %d exponent bits\n", layer.exponent_bits);
    return 2;
  }
  std::printf("counters: %d passed, %d failed\n", lanes - failed, failed);
  return failed ? 1 : 0;
}

int run(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--counters") return run_counters(argv[2]);
  std::string folder;
  std::vector<std::string> wanted;
  for (int k = 1; k < argc; ++k) {
    const std::string argument = argv[k];
    if (argument == "--write" && k + 1 < argc) {
      folder = argv[++k];
    } else {
      wanted.push_back(argument);
    }
  }
  int passed = 0, failed = 0;
  for (size_t number = 0; number < std::size(kParts); ++number) {
    const Part& part = kParts[number];
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), part.id) == wanted.end()) continue;
    try {
      std::printf("%-34s %s\n", std::string(part.id).c_str(), test(number, part, folder).c_str());
      ++passed;
    } catch (const std::exception& error) {
      std::printf("%-34s FAILED: %s\n", std::string(part.id).c_str(), error.what());
      ++failed;
    }
  }
  if (passed + failed < static_cast<int>(wanted.size())) {
    std::fprintf(stderr, "cosim: a part among those named does not exist\n");
    return 2;
  }
  std::printf("co-simulation: %d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace dnateq::rtl

int main(int argc, char** argv) {
  try {
    return dnateq::rtl::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cosim: %s\n", error.what());
    return 2;
  }
}
