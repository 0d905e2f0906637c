// `report`: a result's report, written again; and what it draws, for those who draw it themselves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace dnateq {

// Writes it to `file`; an empty one: report.html in the folder. Returns where it lies. Throws Error.
std::filesystem::path run_report_job(const std::filesystem::path& folder, const std::filesystem::path& file = {});

// Mean predicted bits and divergence of every allocation that was considered. Throws Error.
std::vector<std::pair<double, double>> bits_loss_curve(const std::filesystem::path& folder);

// One tensor's histogram and the levels of its code, both of values divided by their channel's scale.
struct TensorLevels {
  std::vector<double> low, high;  // of each bin
  std::vector<uint64_t> count;
  uint64_t zeros = 0;          // which no bin counts
  std::vector<double> levels;  // ascending
};
// Throws Error where the result has no such tensor.
TensorLevels tensor_levels(const std::filesystem::path& folder, const std::string& layer, bool is_weights);

}  // namespace dnateq
