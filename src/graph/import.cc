#include "graph/import.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <openvino/op/util/multi_subgraph_base.hpp>
#include <openvino/opsets/opset13.hpp>
#include <openvino/pass/constant_folding.hpp>
#include <openvino/pass/manager.hpp>
#include <set>

#include "core/isa.h"
#include "core/option.h"
#include "core/sentence.h"
#include "dnateq/error.h"
#include "graph/import/passes.h"

namespace dnateq {
namespace {

namespace op = ov::opset13;

// The front ends' protobuf and absl log to standard error what the exception says too. Redirecting is process-wide.
class SilentStderr {
 public:
  SilentStderr() : kept_(dup(STDERR_FILENO)) {
    std::fflush(stderr);
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (kept_ >= 0 && nowhere >= 0) dup2(nowhere, STDERR_FILENO);
    if (nowhere >= 0) close(nowhere);
  }
  SilentStderr(const SilentStderr&) = delete;
  SilentStderr& operator=(const SilentStderr&) = delete;
  ~SilentStderr() {
    if (kept_ < 0) return;
    dup2(kept_, STDERR_FILENO);
    close(kept_);
  }

 private:
  int kept_;
};

void count_parameters(const ov::Model& model, std::set<const void*>& seen, int64_t& values) {
  for (const auto& node : model.get_ops()) {
    if (const auto constant = ov::as_type_ptr<op::Constant>(node)) {
      if (constant->get_element_type().is_real() && seen.insert(constant->get_data_ptr()).second)
        values += static_cast<int64_t>(ov::shape_size(constant->get_shape()));
    } else if (const auto loop = std::dynamic_pointer_cast<ov::op::util::MultiSubGraphOp>(node)) {
      for (size_t i = 0; i < loop->get_internal_subgraphs_size(); ++i)
        count_parameters(*loop->get_function(i), seen, values);
    }
  }
}

}  // namespace

std::shared_ptr<ov::Model> read_model(ov::Core& core, const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) throw Error(fmt::format("there is no model file '{}'", file.string()));
  if (std::filesystem::is_directory(file, ignored))
    throw Error(fmt::format("'{}' is a folder; give the model file in it (.onnx, .xml, ...)", file.string()));
  if (!std::ifstream(file).is_open())
    throw Error(fmt::format("'{}' cannot be read; check its permissions", file.string()));
  std::shared_ptr<ov::Model> model;
  try {
    const SilentStderr silent;
    model = core.read_model(file.string());
  } catch (const std::exception& error) {
    std::string reason = plain_sentence(error.what());
    // Where no front end takes the file, OpenVINO lists them all.
    if (reason.starts_with("Unable to read the model")) reason = "ONNX, OpenVINO IR, TensorFlow, ...";
    throw Error(fmt::format("'{}' is not a complete model that OpenVINO can read ({}); export it again", file.string(),
                            reason));
  }
  if (model->has_rt_info("dnateq", "target_isa"))
    if (const std::string reason = refusal_of_target(model->get_rt_info<std::string>("dnateq", "target_isa"));
        !reason.empty())
      throw Error(fmt::format("'{}' {}", file.string(), reason));
  return model;
}

std::string refusal_of_target(const std::string& target_isa) {
  if (target_isa != to_string(TargetIsa::kVnni) || adds_products_exactly()) return {};
  const std::string cap = onednn_cap();
  return fmt::format(
      "was made with {}, and {}, where OpenVINO's kernels would compute wrong numbers with it; quantize with {}",
      option("target_isa", "vnni"),
      cap.empty() ? "this CPU has no VNNI" : fmt::format("ONEDNN_MAX_CPU_ISA={} takes VNNI away", cap),
      option("target_isa", "any"));
}

int64_t count_parameters(const ov::Model& model) {
  std::set<const void*> seen;
  int64_t values = 0;
  count_parameters(model, seen, values);
  return values;
}

std::shared_ptr<ov::Model> read_stateless(ov::Core& core, const std::filesystem::path& file) {
  const std::shared_ptr<ov::Model> model = read_model(core, file);
  import_passes::keep_length_in_broadcasts(model);
  remove_state(model, file.string());
  return model;
}

PreparedModel import_model(ov::Core& core, const std::filesystem::path& file, const ImportOptions& options) {
  PreparedModel prepared;
  prepared.file = file.string();
  prepared.model = read_model(core, file);
  import_passes::refuse_foreign_quantization(*prepared.model, prepared.file);
  prepared.compressed_in = import_passes::types_of_compressed_weights(*prepared.model, prepared.file);
  import_passes::keep_length_in_broadcasts(prepared.model);
  prepared.state = remove_state(prepared.model, prepared.file);
  prepared.parameters = count_parameters(*prepared.model);
  LayerChoice choice(options, *prepared.model, prepared.file);
  try {
    if (prepared.parameters >= options.fewest_parameters_on_disk)
      fold_weights_to_disk(prepared.model, prepared.state.sinks);
    ov::pass::Manager manager;
    manager.register_pass<ov::pass::ConstantFolding>();
    manager.run_passes(prepared.model);
    if (!prepared.compressed_in.empty()) prepared.parameters = count_parameters(*prepared.model);
    import_passes::decompose_batch_norm(prepared.model);
    import_passes::drop_factors_of_one(prepared.model);
    import_passes::fold_scales(prepared.model);
    import_passes::fuse_clamps(prepared.model);
    import_passes::normalize_matmuls(prepared.model);
    prepared.model->validate_nodes_and_infer_types();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(fmt::format("the graph of '{}' cannot be prepared: {}; export it again", prepared.file,
                            plain_sentence(error.what())));
  }
  import_passes::find_layers(prepared, choice);
  choice.check_chosen();
  import_passes::share_tied_weights(prepared, choice);
  choice.check_untied();
  prepared.fingerprint = import_passes::fingerprint_of(prepared);
  return prepared;
}

}  // namespace dnateq
