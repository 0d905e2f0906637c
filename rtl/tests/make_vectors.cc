// Writes the reference's vectors for the gate-level bench: make_vectors FOLDER BITS PART...
// makes FOLDER/PART.correctness.hex and FOLDER/PART.energy.hex; BITS: Part::code_bits.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "parts_table.h"
#include "reference.h"

namespace {
void write(const std::string& file, const std::vector<dnateq::rtl::Vector>& vectors) {
  std::ofstream out(file);
  for (const auto& v : vectors) out << v.line() << '\n';
  if (!out.flush()) throw std::runtime_error("cannot write " + file);
}
}  // namespace

int main(int argc, char** argv) {
  using namespace dnateq::rtl;
  try {
    if (argc < 4) throw std::runtime_error("usage: make_vectors FOLDER BITS PART...");
    for (int k = 3; k < argc; ++k) {
      const auto part =
          std::find_if(std::begin(kParts), std::end(kParts), [&](const Part& p) { return p.id == argv[k]; });
      if (part == std::end(kParts)) throw std::runtime_error(std::string("no part ") + argv[k]);
      Part given = *part;
      given.code_bits = std::stoi(argv[2]);
      const std::string stem = std::string(argv[1]) + "/" + argv[k];
      write(stem + ".correctness.hex", correctness_vectors(given));
      write(stem + ".energy.hex", energy_vectors(given));
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_vectors: %s\n", error.what());
    return 1;
  }
}
