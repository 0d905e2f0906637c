// The commands of the program `dnateq`. Each returns the exit status; errors come as dnateq::Error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.h"
#include "data/samples.h"
#include "job/arguments.h"

namespace dnateq {

struct FloatOperations;

struct CommonArguments {
  bool json = false, quiet = false;
  int threads = 0;  // 0 = all processors
  Progress progress;
};

struct AllocateArguments {
  std::string from, target_bits, max_drop, drop_type, max_loss, directory;
  std::string model, calibration, validation, labels, metric;  // named again: the result's are only shown
  bool require_certificate = false;
};

struct EvalArguments {
  std::string model, labels, metric, reference, output_name;
  DataArguments data;
};

struct AnalyzeArguments {
  std::string model, directory;
  DataArguments calibration;
  ImportOptions layers;
};

struct BenchArguments {
  std::string model, calibration, model_type, cache;
  std::vector<std::string> results, shapes;
  int threads = 1, batch = 1, warm = 0;
  double seconds = 20;
  bool peers = false, layers = false;
};

struct ExplainArguments {
  std::string path;  // model file or result folder
  std::vector<std::string> shapes;
  int64_t expect_rows = 1;
  int threads = 1;
};

struct SimulateArguments {
  std::string network;  // a built-in list, a result folder or recipe, or a model file
  std::string model, config, energies, bits, bits_are, zeros, directory;
  std::vector<std::string> designs, settings, sweeps, shapes;
  DataArguments calibration;
  int64_t batch = 1;
};

int run_quantize(const QuantizeArguments& arguments, const std::string& directory, const CommonArguments& common);
int run_allocate(const AllocateArguments& arguments, const CommonArguments& common);
int run_eval(const EvalArguments& arguments, const CommonArguments& common);
int run_analyze(const AnalyzeArguments& arguments, const CommonArguments& common);
int run_inspect(const std::string& path, const CommonArguments& common);
int run_report(const std::string& directory, const CommonArguments& common);
// Does not return where all is well: the process becomes the driver.
int run_bench(const BenchArguments& arguments, const CommonArguments& common);
int run_explain(const ExplainArguments& arguments, const CommonArguments& common);
int run_simulate(const SimulateArguments& arguments, const CommonArguments& common);
// Hidden helper: compiles a model, runs nothing, prints its resident bytes. A process of its own, so that they are its.
int run_ram(const std::string& model);

// Shared parts.
int thread_count(const CommonArguments& common);
std::unique_ptr<Samples> open_data(const DataArguments& arguments, const std::vector<std::string>& inputs);
std::optional<int64_t> batch_axis(const DataArguments& arguments);
std::vector<int64_t> open_labels(const std::string& labels, const DataArguments& data);
// One line: what an exact or counting network leaves to OpenVINO's float32 kernels.
void print_float_operations(const std::vector<FloatOperations>& floats);
// By name, of NAME=DIM,DIM,... Throws Error.
std::map<std::string, std::vector<int64_t>> parse_shapes(const std::vector<std::string>& texts);
void print_json(const nlohmann::ordered_json& document);
std::string human_bytes(int64_t bytes);

}  // namespace dnateq
