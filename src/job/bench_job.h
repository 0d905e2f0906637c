// `bench`: times the FP32 network, results and, on demand, others' forms of it, interleaved. bench/speed.py does it in
// a process of its own, where OpenVINO's and ONNX Runtime's Python packages let compare all of them; for folders of
// language models bench/language_speed.py, by OpenVINO GenAI.
#pragma once

#include <string>
#include <vector>

#include "job/installation.h"
#include "job/process.h"

namespace dnateq {

struct BenchOptions {
  std::string model;        // the FP32 network, or a language model's folder
  std::string calibration;  // its first call is what is timed; empty: random inputs
  std::string model_type;   // NNCF's scheme; empty or "transformer"
  std::string cache;  // where peers are kept; empty: in the first result or a temporary folder, and always there of
                      // language models
  std::vector<std::string> results;  // folders
  std::vector<std::string> shapes;   // NAME=DIM,...
  int threads = 1, batch = 1;
  int warm = 0;         // calls of a network before each that is timed
  double seconds = 20;  // all networks together
  bool peers = false, layers = false;
  bool as_table = false;  // to read; else a JSON document
  bool quiet = false;     // says nothing meanwhile
};

struct BenchResult {
  std::string text;  // the document or the table
};

// Throws Error with what the script says, too.
BenchResult run_bench_job(const BenchOptions& options, const Installation& installation, const Watch& watch);

}  // namespace dnateq
