// An INT8 model of the same network, to judge a result beside.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "data/samples.h"
#include "graph/import.h"
#include "job/arguments.h"
#include "job/installation.h"

namespace dnateq {

// Where a result and its INT8 model go.
struct Int8Place {
  std::filesystem::path directory;  // of the result
  std::filesystem::path work;       // DIR/unfinished, by way of which it gets there
};

// The one that was asked for; else, where NNCF is installed, one that NNCF makes of the same calibration data, in
// DIR/int8. Empty where none was wanted or it cannot be made: the result does not depend on it. `say` hears of both.
std::filesystem::path int8_model_for(const QuantizeArguments& arguments, const PreparedModel& prepared,
                                     const Samples& calibration, const Int8Place& place,
                                     const Installation& installation,
                                     const std::function<void(const std::string&)>& say);

}  // namespace dnateq
