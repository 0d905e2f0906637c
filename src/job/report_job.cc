#include "job/report_job.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/atomic_file.h"
#include "dnateq/error.h"
#include "job/result_folder.h"
#include "report/report.h"

namespace dnateq {

std::filesystem::path run_report_job(const std::filesystem::path& folder, const std::filesystem::path& file) {
  std::filesystem::path page = file.empty() ? folder / "report.html" : file;
  write_file_atomically(page, render_html(load_report_input(folder)));
  return page;
}

std::vector<std::pair<double, double>> bits_loss_curve(const std::filesystem::path& folder) {
  return load_report_input(folder).bits_loss_curve;
}

TensorLevels tensor_levels(const std::filesystem::path& folder, const std::string& layer, bool is_weights) {
  const ReportInput input = load_report_input(folder);
  const auto view = std::find_if(input.tensors.begin(), input.tensors.end(), [&](const TensorView& tensor) {
    return tensor.layer == layer && tensor.is_weights == is_weights;
  });
  const auto found = std::find_if(input.recipe.layers.begin(), input.recipe.layers.end(),
                                  [&](const LayerRecipe& candidate) { return candidate.name == layer; });
  if (view == input.tensors.end() || found == input.recipe.layers.end() || (!is_weights && !found->activations))
    throw Error(
        fmt::format("'{}' has no {} of a layer '{}'", folder.string(), is_weights ? "weights" : "activations", layer));
  TensorLevels tensor;
  for (const Histogram::Bin& bin : view->histogram.bins()) {
    tensor.low.push_back(static_cast<double>(std::min(bin.low, bin.high)));
    tensor.high.push_back(static_cast<double>(std::max(bin.low, bin.high)));
    tensor.count.push_back(bin.count);
  }
  tensor.zeros = view->histogram.zeros();
  for (const float level : level_table((is_weights ? found->weights : *found->activations).code))
    tensor.levels.push_back(static_cast<double>(level));
  std::sort(tensor.levels.begin(), tensor.levels.end());
  tensor.levels.erase(std::unique(tensor.levels.begin(), tensor.levels.end()), tensor.levels.end());
  return tensor;
}

}  // namespace dnateq
