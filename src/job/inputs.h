// What a network is run on, as its user names it: samples, labels and shapes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/samples.h"
#include "job/arguments.h"

namespace dnateq {

// The samples of a network with these inputs. Throws Error.
std::unique_ptr<Samples> open_data(const DataArguments& arguments, const std::vector<std::string>& inputs,
                                   const std::filesystem::path& model);

// The axis that was asked for, if one was.
std::optional<int64_t> batch_axis(const DataArguments& arguments);

// Labels of the samples in `data`, from a file, or from the images' names where `labels` is "names". None where it is
// empty. Throws Error.
std::vector<int64_t> open_labels(const std::string& labels, const DataArguments& data);

// By the inputs' names, of NAME=DIM,DIM,... Throws Error.
using InputShapes = std::map<std::string, std::vector<int64_t>>;
InputShapes parse_shapes(const std::vector<std::string>& texts);

// Of a model file. Throws Error.
std::vector<std::string> names_of_inputs(const std::filesystem::path& model);

// Why a model for that target computes wrong numbers on this CPU, as what follows its name in a sentence; empty: it
// does not.
std::string refusal_of_cpu(const std::string& target_isa);

}  // namespace dnateq
