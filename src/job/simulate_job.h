// `simulate`: cycles, bytes, energy and area of a network on accelerators in stacked memory.
//
// The network is a built-in list of layers, a result of ours or its recipe, or a model file. What is simulated stands
// in one JSON document (report/accelerator_document.h), which is printed, drawn and returned to Python alike.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.h"
#include "job/arguments.h"

namespace dnateq {

struct SimulateOptions {
  std::string network;   // alexnet, resnet50, transformer; a result folder or recipe; a model file
  std::string model;     // the FP32 network of a recipe
  std::string config;    // the machine, TOML; empty: the built-in one
  std::string energies;  // energy table, TOML; empty: the configuration's
  std::string bits;      // stored bits a value, B or W/A; empty: a recipe's, or the paper's averages
  std::string bits_are;  // built-in lists: what mean bits count, stored or exponent; empty: stored
  std::string zeros;     // built-in lists: share of zeros, Z or W/A
  std::string
      directory;  // for result.json, layers.csv, report.html, sweep.json and sweep.csv; empty: nothing is written
  std::vector<std::string> designs;           // beside int8; empty: all that are possible
  std::vector<std::string> settings, sweeps;  // KEY=NUMBER; KEY=FROM:TO:STEP or KEY=VALUE,...
  std::vector<std::string> shapes;            // of a model's inputs, NAME=DIM,...
  DataArguments calibration;                  // a model's inputs, to measure its activations on; no path: not measured
  int64_t batch = 1;
  int threads = 1;  // the result does not depend on it
};

struct SimulateResult {
  nlohmann::ordered_json document;  // that of result.json, and `sweep` where there was one
  std::string report;               // its page; empty: none was written
};

// Throws Error, also where `directory` holds files of another origin.
SimulateResult run_simulate_job(const SimulateOptions& options, const Progress& progress);

}  // namespace dnateq
