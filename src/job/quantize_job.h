// `quantize`: the whole job on a result folder, from import to report, with the notes that `allocate` goes on from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/progress.h"
#include "data/samples.h"
#include "dnateq/recipe.h"
#include "job/arguments.h"
#include "job/installation.h"
#include "quantize/external_metric.h"

namespace dnateq {

// Samples to work on. Without `validation`, some calibration samples are held back to judge on.
struct JobData {
  std::shared_ptr<const Samples> calibration, validation;
  std::vector<int64_t> labels;
};

// Opens the samples of a network with these inputs.
using OpenData = std::function<JobData(const std::vector<std::string>& inputs)>;

// Who runs a job, and what of it does not depend on the network.
struct JobSetting {
  int threads = 1;
  Progress progress;
  std::function<void(const std::string& sentence)> say;  // asides, whose options are marked; empty: nobody listens
  Installation installation;                             // its program measures what a model takes in memory
  // Samples that lie in no files; empty: the arguments name files. With it, whether it opens these two is to be said.
  OpenData open;
  bool has_validation = false, has_labels = false;
  // A metric "function:NAME", which sees the networks' model files.
  std::function<ExternalScore(const std::vector<std::filesystem::path>& models)> judge;
};

// One network among several.
struct JobNetwork {
  std::string name;  // its result lies in the folder DIR/NAME
  QuantizeArguments arguments;
  OpenData open;
};

// What was written, and what is known of it beside the recipe.
struct FinishedJob {
  Recipe recipe;
  std::vector<std::pair<double, double>> bits_loss_curve;  // mean bits over all tensors' values, predicted divergence
  int64_t bytes_fp32 = 0, bytes_int8 = 0;                  // of weights, see QuantizeResult
  bool int8_is_estimate = true;
  int64_t bytes_file = 0;  // of the model for speed; of the exact one where that is the only one
  int64_t bytes_ram = 0;   // resident, of the compiled model; 0: not measured
  std::optional<double> int8_metric;
  double seconds = 0;
  std::string note;  // on former results that were asked for; empty: there is nothing to say
};

// Fills `directory` with models, recipe, report.html and measurements, once all of them are made: a former result stays
// whole until then (result_writer.h). What a failed job made is removed again, unless it was Cancelled: that can be
// resumed. Throws Error.
FinishedJob run_quantize_job(const std::filesystem::path& directory, const QuantizeArguments& arguments,
                             const JobSetting& setting);

// The same for several networks under one external metric: the first one's arguments are the common ones; of each
// network's arguments its model, its INT8 model and its choice of layers count. In the networks' order.
std::vector<FinishedJob> run_quantize_many_job(const std::filesystem::path& directory,
                                               const std::vector<JobNetwork>& networks, const JobSetting& setting);

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
                             const QuantizeArguments& arguments, const JobSetting& setting);

// The same of the results of several networks, in the folders of their names in `from`.
std::vector<FinishedJob> run_allocate_many_job(const std::filesystem::path& from,
                                               const std::filesystem::path& directory,
                                               const std::vector<JobNetwork>& networks, const JobSetting& setting);

}  // namespace dnateq
