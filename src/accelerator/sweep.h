// Many configurations of one accelerator: every combination of the values of some keys, on all cores, in an order that
// does not depend on them.
//
// Non-goals: a scheduler for several machines. A sweep too large for one is cut along its first key into runs that know
// nothing of each other (docs/accelerator.md).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "accelerator/design.h"
#include "accelerator/simulate.h"

namespace dnateq::accelerator {

struct SweepAxis {
  std::string key;
  std::vector<double> values;
};

// "KEY=A:B:STEP" (A, A + STEP, ... up to B) or "KEY=V,V,...". Throws Error.
SweepAxis parse_axis(const std::string& text);
// "KEY=VALUE"
std::pair<std::string, double> parse_setting(const std::string& text);

// What a map shows of one design at one point.
struct Outcome {
  Design design = Design::kInt8;
  int64_t cycles = 0;
  double milliseconds = 0, dram_bytes = 0, energy_pj = 0, area_um2 = 0;
  std::string error;  // why there are no figures
};
Outcome outcome_of(const DesignResult& result);

struct SweepPoint {
  std::vector<double> at;  // a value for each axis
  std::vector<Outcome> outcomes;
};

inline constexpr int64_t kMostPoints = 100'000;

// The last axis runs fastest. `evaluate` is called from `threads` threads; `done(points)` from them too, one at a time,
// and may throw to stop. The first exception of either is rethrown. Throws Error where there are more than kMostPoints.
std::vector<SweepPoint> run_sweep(const std::vector<SweepAxis>& axes, int threads,
                                  const std::function<std::vector<Outcome>(const std::vector<double>&)>& evaluate,
                                  const std::function<void(size_t)>& done);
int64_t point_count(const std::vector<SweepAxis>& axes);

}  // namespace dnateq::accelerator
