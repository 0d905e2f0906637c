// The whole job on a result folder: import, quantize, report, and the notes that `allocate` goes on from. What the
// program and the Python module share.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/samples.h"
#include "graph/import.h"
#include "job/arguments.h"
#include "quantize/quantize.h"

namespace dnateq {

// Samples to work on. Without `validation`, some calibration samples are held back to judge on.
struct JobData {
  std::shared_ptr<const Samples> calibration, validation;
  std::vector<int64_t> labels;
};

struct JobHooks {
  // Opens the samples of a network with these inputs.
  std::function<JobData(const std::vector<std::string>& inputs)> open;
  // An INT8 model of the same network to judge beside; an empty path or function: none. What it makes, it makes in the
  // folder `work`, from where it goes into the result.
  std::function<std::filesystem::path(const PreparedModel&, const Samples& calibration,
                                      const std::filesystem::path& work)>
      int8_model;
  // The program dnateq, which measures what a model takes in memory; empty: that stays unknown.
  std::filesystem::path program;
};

// One network among several.
struct JobNetwork {
  std::string name;  // its result lies in the folder DIR/NAME
  QuantizeArguments arguments;
  std::function<JobData(const std::vector<std::string>& inputs)> open;
};

struct FinishedJob {
  QuantizeResult result;
  int64_t ram = 0;  // resident bytes of the compiled model; 0: not measured
};

// Fills `directory` with models, recipe, report.html and measurements, once all of them are made: a former result stays
// whole until then (result_writer.h). What a failed job made is removed again, unless it was Cancelled: that can be
// resumed. Throws Error.
FinishedJob run_quantize_job(const std::filesystem::path& directory, const QuantizeArguments& arguments,
                             QuantizeOptions options, const JobHooks& hooks);

// The same for several networks under one external metric: `options` are the common ones; of each network's arguments
// its model, its INT8 model and its choice of layers count. In the networks' order.
std::vector<FinishedJob> run_quantize_many_job(const std::filesystem::path& directory,
                                               const std::vector<JobNetwork>& networks, const QuantizeOptions& options,
                                               const std::filesystem::path& program);

// Bits, metric and bytes in short: {"weights", "activations", "all", "metric", "emissions", "limit", "certified",
// "verdict", "bytes", "note", "seconds"}; docs/reference/files.md tells what the members of "emissions" mean.
nlohmann::ordered_json summary_of(const FinishedJob& job);

// What the job that made `from` was told, as it noted that: its files, and a metric that is a program, are there to be
// shown, since whoever made the folder chose them. Throws Error if `from` is no finished result.
QuantizeArguments noted_arguments(const std::filesystem::path& from);

// The arguments of the job that made `from`, to allocate bits again: with its measurements, without a limit of bits or
// loss, and without the files and the metric of the user's own that are the caller's to name again. Throws as
// noted_arguments().
QuantizeArguments arguments_of_result(const std::filesystem::path& from);

// run_quantize_job() on a copy of the measurements of `from`; `directory` may be `from`. Throws Error also where model
// or calibration samples are not those that were measured.
FinishedJob run_allocate_job(const std::filesystem::path& from, const std::filesystem::path& directory,
                             const QuantizeArguments& arguments, QuantizeOptions options, const JobHooks& hooks);

// The same of the results of several networks, in the folders of their names in `from`.
std::vector<FinishedJob> run_allocate_many_job(const std::filesystem::path& from,
                                               const std::filesystem::path& directory,
                                               const std::vector<JobNetwork>& networks, const QuantizeOptions& options,
                                               const std::filesystem::path& program);

}  // namespace dnateq
