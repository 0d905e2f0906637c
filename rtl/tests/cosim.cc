// Runs every part's RTL, verilated, against the reference, bit by bit and cycle by cycle.
//
//   cosim [--write FOLDER] [PART...]     all parts, or these; prints a line a part, exit status 1 if any differs
//
// --write keeps what a PE's inputs and outputs were, so that its netlist can be held against them.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "Veverything.h"
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

int run(int argc, char** argv) {
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

int main(int argc, char** argv) { return dnateq::rtl::run(argc, argv); }
