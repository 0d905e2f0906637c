// dnateq._core: the C++ library as Python sees it. Checks of arguments, progress bars and everything that a user reads
// lie in python/dnateq.
#include <fmt/format.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>

#include "data/spool.h"
#include "dnateq/error.h"
#include "job/analyze_job.h"
#include "job/bench_job.h"
#include "job/evaluate_language_job.h"
#include "job/inputs.h"
#include "job/quantize_job.h"
#include "job/report_job.h"
#include "job/result_folder.h"
#include "job/result_writer.h"
#include "job/simulate_job.h"
#include "words.h"
#include "work.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace dnateq::python {
namespace {

using AnyArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

DataType data_type_of(const nb::dlpack::dtype& type, const std::string& input) {
  const auto is = [&](nb::dlpack::dtype_code code, int bits) {
    return type.code == static_cast<uint8_t>(code) && type.bits == bits && type.lanes == 1;
  };
  using Code = nb::dlpack::dtype_code;
  if (is(Code::Float, 32)) return DataType::kFloat32;
  if (is(Code::Float, 64)) return DataType::kFloat64;
  if (is(Code::Float, 16)) return DataType::kFloat16;
  if (is(Code::Int, 64)) return DataType::kInt64;
  if (is(Code::Int, 32)) return DataType::kInt32;
  if (is(Code::Int, 16)) return DataType::kInt16;
  if (is(Code::Int, 8)) return DataType::kInt8;
  if (is(Code::UInt, 64)) return DataType::kUint64;
  if (is(Code::UInt, 32)) return DataType::kUint32;
  if (is(Code::UInt, 16)) return DataType::kUint16;
  if (is(Code::UInt, 8)) return DataType::kUint8;
  if (is(Code::Bool, 8)) return DataType::kBool;
  throw nb::type_error(
      fmt::format(
          "model input '{}' is given an array of a type without support; give float32, float64, float16, bool or "
          "integers",
          input)
          .c_str());
}

void add_call(Spool& spool, const std::vector<AnyArray>& arrays) {
  std::vector<Spool::View> views;
  const std::vector<std::string> names = spool.inputs();
  for (size_t i = 0; i < arrays.size(); ++i) {
    const AnyArray& array = arrays[i];
    Spool::View view{data_type_of(array.dtype(), i < names.size() ? names[i] : ""), {}, {}};
    for (size_t axis = 0; axis < array.ndim(); ++axis) view.shape.push_back(static_cast<int64_t>(array.shape(axis)));
    view.bytes = {static_cast<const std::byte*>(array.data()), array.nbytes()};
    views.push_back(std::move(view));
  }
  const nb::gil_scoped_release released;
  spool.add(views);
}

// Samples came from Python: where a work's thread gives them back, it needs the GIL, which who waits for it must not
// hold.
class PythonWork : public Work {
 public:
  using Work::Work;
  ~PythonWork() {
    const nb::gil_scoped_release released;
    finish();
  }
};

// No more than there are: each costs a stream of OpenVINO, and thousands of them minutes.
int threads_or_all(int threads) {
  const int all = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  return threads > 0 ? std::min(threads, all) : all;
}

struct Data {
  std::shared_ptr<Spool> calibration, validation;  // null: none
  std::vector<int64_t> labels;
};

// Ties a job to the thread that works on it.
JobSetting setting_of(const Data& data, int threads, const std::filesystem::path& program, Work& work) {
  JobSetting setting;
  setting.threads = threads;
  setting.progress = work.progress();
  setting.installation.program = program;
  if (data.calibration)  // else the arguments name files
    setting.open = [data](const auto&) { return JobData{data.calibration, data.validation, data.labels}; };
  setting.has_validation = data.validation != nullptr;
  setting.has_labels = !data.labels.empty();
  setting.judge = [&work](const std::vector<std::filesystem::path>& models) { return work.ask(models); };
  return setting;
}

// Whatever a model calls its layers.
std::string text_of(const nlohmann::ordered_json& document) {
  return document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::unique_ptr<PythonWork> quantize_work(const QuantizeArguments& arguments, const Data& data,
                                          const std::filesystem::path& directory, int threads,
                                          const std::filesystem::path& program) {
  const int most = threads_or_all(threads);
  return std::make_unique<PythonWork>(most, [=](Work& work) {
    return text_of(summary_of(run_quantize_job(directory, arguments, setting_of(data, most, program, work))));
  });
}

std::unique_ptr<PythonWork> quantize_text_work(const QuantizeArguments& arguments,
                                               const std::filesystem::path& directory, int threads,
                                               const std::filesystem::path& program) {
  return quantize_work(arguments, {}, directory, threads, program);
}

std::unique_ptr<PythonWork> evaluate_text_work(EvaluateLanguageOptions options) {
  options.threads = threads_or_all(options.threads);
  return std::make_unique<PythonWork>(options.threads, [options](Work& work) {
    return text_of(evaluation_document(run_evaluate_language_job(options, work.progress())));
  });
}

// `from`: the folder of earlier results whose measurements are taken; empty: none.
std::unique_ptr<PythonWork> many_work(const std::filesystem::path& from, const std::vector<std::string>& names,
                                      const std::vector<QuantizeArguments>& arguments,
                                      const std::vector<std::shared_ptr<Spool>>& samples,
                                      const std::filesystem::path& directory, int threads,
                                      const std::filesystem::path& program) {
  const int most = threads_or_all(threads);
  return std::make_unique<PythonWork>(most, [=](Work& work) {
    std::vector<JobNetwork> networks;
    for (size_t n = 0; n < names.size(); ++n)
      networks.push_back({names[n], arguments[n], [calibration = samples[n]](const auto&) {
                            return JobData{calibration, nullptr, {}};
                          }});
    nlohmann::ordered_json summaries = nlohmann::ordered_json::array();
    const JobSetting setting = setting_of({}, most, program, work);
    for (const FinishedJob& job : from.empty() ? run_quantize_many_job(directory, networks, setting)
                                               : run_allocate_many_job(from, directory, networks, setting))
      summaries.push_back(summary_of(job));
    return text_of(summaries);
  });
}

std::unique_ptr<PythonWork> quantize_many_work(const std::vector<std::string>& names,
                                               const std::vector<QuantizeArguments>& arguments,
                                               const std::vector<std::shared_ptr<Spool>>& samples,
                                               const std::filesystem::path& directory, int threads,
                                               const std::filesystem::path& program) {
  return many_work({}, names, arguments, samples, directory, threads, program);
}

std::unique_ptr<PythonWork> allocate_work(const std::filesystem::path& from, const QuantizeArguments& arguments,
                                          const Data& data, const std::filesystem::path& directory, int threads,
                                          const std::filesystem::path& program) {
  const int most = threads_or_all(threads);
  return std::make_unique<PythonWork>(most, [=](Work& work) {
    return text_of(summary_of(run_allocate_job(from, directory, arguments, setting_of(data, most, program, work))));
  });
}

std::unique_ptr<PythonWork> analyze_work(const QuantizeArguments& arguments, const std::shared_ptr<Spool>& calibration,
                                         int threads) {
  const int most = threads_or_all(threads);
  return std::make_unique<PythonWork>(most, [=](Work& work) {
    const AnalyzeOptions options{arguments.model,
                                 {},
                                 arguments.only,
                                 arguments.ignore,
                                 arguments.ignore_names,
                                 arguments.ignore_types,
                                 arguments.ignore_may_miss,
                                 {},
                                 most};
    return text_of(
        analysis_document(run_analyze_job(options, work.progress(), [&](const auto&) { return calibration; })));
  });
}

std::unique_ptr<PythonWork> simulate_work(SimulateOptions options) {
  options.threads = threads_or_all(options.threads);
  return std::make_unique<PythonWork>(
      options.threads, [options](Work& work) { return text_of(run_simulate_job(options, work.progress()).document); });
}

std::unique_ptr<PythonWork> bench_work(const BenchOptions& options, const std::filesystem::path& program,
                                       const std::filesystem::path& python) {
  return std::make_unique<PythonWork>(1, [=](Work& work) {
    return run_bench_job(options, {program, python}, {{}, [&work] { return work.goes_on(); }}).text;
  });
}

std::vector<std::string> inputs_of(const std::filesystem::path& file) {
  const nb::gil_scoped_release released;
  return names_of_inputs(file);
}

template <typename T>
nb::ndarray<nb::numpy, const T, nb::ndim<1>> as_numpy(std::vector<T> values) {
  auto* kept = new std::vector<T>(std::move(values));
  const nb::capsule owner(kept, [](void* pointer) noexcept { delete static_cast<std::vector<T>*>(pointer); });
  return nb::ndarray<nb::numpy, const T, nb::ndim<1>>(kept->data(), {kept->size()}, owner);
}

// Of one tensor of a result: histogram bins and the levels of its code.
nb::dict tensor_of(const std::filesystem::path& folder, const std::string& layer, bool is_weights) {
  TensorLevels tensor = tensor_levels(folder, layer, is_weights);
  nb::dict all;
  all["low"] = as_numpy(std::move(tensor.low));
  all["high"] = as_numpy(std::move(tensor.high));
  all["count"] = as_numpy(std::move(tensor.count));
  all["zeros"] = tensor.zeros;
  all["levels"] = as_numpy(std::move(tensor.levels));
  return all;
}

void write_report(const std::filesystem::path& folder, const std::filesystem::path& file) {
  const nb::gil_scoped_release released;
  run_report_job(folder, file);
}

std::vector<std::tuple<double, double>> curve_of(const std::filesystem::path& folder) {
  std::vector<std::tuple<double, double>> points;
  for (const auto& [bits, divergence] : bits_loss_curve(folder)) points.emplace_back(bits, divergence);
  return points;
}

}  // namespace

NB_MODULE(_core, module) {
  module.doc() = "The C++ library of dnateq. Use the package dnateq instead: this module's functions change freely.";

  // Cancelled first: it is an Error too, and the last translator registered is asked first.
  const nb::exception<Error> errors(module, "Error", PyExc_ValueError);
  nb::register_exception_translator(
      [](const std::exception_ptr& thrown, void* type) {
        try {
          std::rethrow_exception(thrown);
        } catch (const Error& error) {
          PyErr_SetString(static_cast<PyObject*>(type), python_words(error.marked()).c_str());
        }
      },
      errors.ptr());
  nb::exception<Cancelled>(module, "Cancelled", PyExc_RuntimeError);

  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::filesystem::filesystem_error& error) {
      errno = error.code().value();
      PyErr_SetFromErrnoWithFilename(PyExc_OSError, error.path1().c_str());
    }
  });

  nb::class_<Spool>(module, "Spool", "Samples kept in a file without a name.")
      .def(nb::init<std::filesystem::path, std::string, std::vector<std::string>>(), "folder"_a, "source"_a, "inputs"_a)
      .def("add", &add_call, "arrays"_a, "Appends one call: an array for each input.")
      .def("__len__", &Spool::size);

  nb::class_<QuantizeArguments>(module, "QuantizeArguments", "What a quantization is told.")
      .def(nb::init<>())
      .def_rw("model", &QuantizeArguments::model)
      .def_rw("metric", &QuantizeArguments::metric)
      .def_rw("metric_range", &QuantizeArguments::metric_range)
      .def_rw("max_drop", &QuantizeArguments::max_drop)
      .def_rw("drop_type", &QuantizeArguments::drop_type)
      .def_rw("max_loss", &QuantizeArguments::max_loss)
      .def_rw("require_certificate", &QuantizeArguments::require_certificate)
      .def_rw("target_bits", &QuantizeArguments::target_bits)
      .def_rw("target_size", &QuantizeArguments::target_size)
      .def_rw("no_rotation", &QuantizeArguments::no_rotation)
      .def_rw("validation", &QuantizeArguments::validation)
      .def_prop_rw(
          "text", [](const QuantizeArguments& self) { return self.calibration.text; },
          [](QuantizeArguments& self, const std::string& text) { self.calibration.text = text; })
      .def_prop_rw(
          "context", [](const QuantizeArguments& self) { return self.calibration.context; },
          [](QuantizeArguments& self, int64_t tokens) { self.calibration.context = tokens; })
      .def_prop_rw(
          "windows", [](const QuantizeArguments& self) { return self.calibration.windows; },
          [](QuantizeArguments& self, int64_t windows) { self.calibration.windows = windows; })
      .def_rw("weight_bits", &QuantizeArguments::weight_bits)
      .def_rw("activation_bits", &QuantizeArguments::activation_bits)
      .def_rw("thr_weights", &QuantizeArguments::thr_weights)
      .def_rw("thr_activations", &QuantizeArguments::thr_activations)
      .def_rw("thr_plans", &QuantizeArguments::thr_plans)
      .def_rw("strategy", &QuantizeArguments::strategy)
      .def_rw("family", &QuantizeArguments::family)
      .def_rw("emit", &QuantizeArguments::emit)
      .def_rw("expect_rows", &QuantizeArguments::expect_rows)
      .def_rw("weights_only", &QuantizeArguments::weights_only)
      .def_rw("target_isa", &QuantizeArguments::target_isa)
      .def_rw("only", &QuantizeArguments::only)
      .def_rw("ignore", &QuantizeArguments::ignore)
      .def_rw("ignore_names", &QuantizeArguments::ignore_names)
      .def_rw("ignore_types", &QuantizeArguments::ignore_types)
      .def_rw("ignore_may_miss", &QuantizeArguments::ignore_may_miss)
      .def_rw("untie", &QuantizeArguments::untie)
      .def_rw("output", &QuantizeArguments::output_name)
      .def_rw("budget", &QuantizeArguments::budget)
      .def_rw("int8", &QuantizeArguments::int8)
      .def_prop_rw(
          "batch_axis", [](const QuantizeArguments& self) { return self.calibration.batch_axis; },
          [](QuantizeArguments& self, int axis) { self.calibration.batch_axis = axis; })
      .def_rw("seed", &QuantizeArguments::seed)
      .def_rw("resume", &QuantizeArguments::resume);
  module.def("arguments_of_result", &arguments_of_result, "folder"_a, "The arguments that a result was made with.");

  nb::class_<Data>(module, "Data", "Samples to work on.")
      .def(nb::init<std::shared_ptr<Spool>, std::shared_ptr<Spool>, std::vector<int64_t>>(), "calibration"_a,
           "validation"_a.none(), "labels"_a);

  nb::class_<PythonWork> work(module, "Work", "Long work on a thread of its own.");
  nb::enum_<Work::News>(work, "News")
      .value("NONE", Work::News::kNone)
      .value("QUESTION", Work::News::kQuestion)
      .value("FINISHED", Work::News::kFinished);
  work.def(
          "wait", [](PythonWork& self, double seconds) { return self.wait(seconds); }, "seconds"_a,
          nb::call_guard<nb::gil_scoped_release>(),
          "Returns at a question, at the end, or after `seconds`; raises what the work threw.")
      .def(
          "take_steps",
          [](PythonWork& self) {
            std::vector<std::tuple<std::string, size_t, size_t>> steps;
            for (const Work::Step& step : self.take_steps()) steps.emplace_back(step.stage, step.done, step.total);
            return steps;
          },
          "(stage, done, total) of each stage since the last call.")
      .def(
          "question", [](PythonWork& self) { return self.question(); }, "Model files to judge.")
      .def(
          "answer",
          [](PythonWork& self, double score, std::vector<double> per_sample) {
            self.answer({score, std::move(per_sample)});
          },
          "score"_a, "per_sample"_a, "Of the model files: a number, and one a sample or none.")
      .def(
          "result", [](PythonWork& self) { return self.result(); }, "JSON document, once finished.")
      .def("stop", [](PythonWork& self) { self.stop(); });
  module.def("quantize", &quantize_work, "arguments"_a, "data"_a, "directory"_a, "threads"_a, "program"_a);
  module.def("quantize_text", &quantize_text_work, "arguments"_a, "directory"_a, "threads"_a, "program"_a,
             "Of the files that the arguments name.");
  module.def("quantize_many", &quantize_many_work, "names"_a, "arguments"_a, "samples"_a, "directory"_a, "threads"_a,
             "program"_a);
  module.def("allocate", &allocate_work, "source"_a, "arguments"_a, "data"_a, "directory"_a, "threads"_a, "program"_a);
  module.def("allocate_many", &many_work, "source"_a, "names"_a, "arguments"_a, "samples"_a, "directory"_a, "threads"_a,
             "program"_a);
  module.def("analyze", &analyze_work, "arguments"_a, "calibration"_a, "threads"_a,
             "Of the arguments, the model and its layers count.");

  nb::class_<EvaluateLanguageOptions>(module, "EvaluateLanguageOptions", "What is judged on a text.")
      .def(nb::init<>())
      .def_rw("model", &EvaluateLanguageOptions::model)
      .def_rw("reference", &EvaluateLanguageOptions::reference)
      .def_prop_rw(
          "text", [](const EvaluateLanguageOptions& self) { return self.data.text; },
          [](EvaluateLanguageOptions& self, const std::string& text) { self.data.text = text; })
      .def_prop_rw(
          "context", [](const EvaluateLanguageOptions& self) { return self.data.context; },
          [](EvaluateLanguageOptions& self, int64_t tokens) { self.data.context = tokens; })
      .def_prop_rw(
          "windows", [](const EvaluateLanguageOptions& self) { return self.data.windows; },
          [](EvaluateLanguageOptions& self, int64_t windows) { self.data.windows = windows; })
      .def_rw("threads", &EvaluateLanguageOptions::threads);
  module.def("evaluate_text", &evaluate_text_work, "options"_a);

  nb::class_<SimulateOptions>(module, "SimulateOptions", "What is simulated.")
      .def(nb::init<>())
      .def_rw("network", &SimulateOptions::network)
      .def_rw("model", &SimulateOptions::model)
      .def_rw("config", &SimulateOptions::config)
      .def_rw("bits", &SimulateOptions::bits)
      .def_rw("bits_are", &SimulateOptions::bits_are)
      .def_rw("directory", &SimulateOptions::directory)
      .def_rw("designs", &SimulateOptions::designs)
      .def_rw("settings", &SimulateOptions::settings)
      .def_rw("shapes", &SimulateOptions::shapes)
      .def_prop_rw(
          "calibration", [](const SimulateOptions& self) { return self.calibration.path; },
          [](SimulateOptions& self, const std::string& path) { self.calibration.path = path; })
      .def_rw("batch", &SimulateOptions::batch)
      .def_rw("threads", &SimulateOptions::threads);
  module.def("simulate", &simulate_work, "options"_a);

  nb::class_<BenchOptions>(module, "BenchOptions", "What is timed.")
      .def(nb::init<>())
      .def_rw("model", &BenchOptions::model)
      .def_rw("calibration", &BenchOptions::calibration)
      .def_rw("results", &BenchOptions::results)
      .def_rw("shapes", &BenchOptions::shapes)
      .def_rw("threads", &BenchOptions::threads)
      .def_rw("batch", &BenchOptions::batch)
      .def_rw("seconds", &BenchOptions::seconds)
      .def_rw("peers", &BenchOptions::peers)
      .def_rw("layers", &BenchOptions::layers)
      .def_rw("quiet", &BenchOptions::quiet);
  module.def("bench", &bench_work, "options"_a, "program"_a, "python"_a);

  module.def(
      "refusal_of_target", [](const std::string& target_isa) { return python_words(refusal_of_cpu(target_isa)); },
      "target_isa"_a, "Why a model for that target is refused on this CPU; empty: it is not.");
  module.def("input_names", &inputs_of, "model"_a, "Names of a model file's inputs.");
  module.def("tensor", &tensor_of, "folder"_a, "layer"_a, "is_weights"_a, "Histogram and levels of one tensor.");
  module.def("write_report", &write_report, "folder"_a, "file"_a);
  module.def(
      "refusal_of_folder", [](const std::filesystem::path& folder) { return python_words(refusal_of_folder(folder)); },
      "folder"_a, "Why no result can be written there; empty: it can.");
  module.def("save_result", &save_result, "source"_a, "folder"_a, nb::call_guard<nb::gil_scoped_release>());
  module.def("bits_loss_curve", &curve_of, "folder"_a);
}

}  // namespace dnateq::python
