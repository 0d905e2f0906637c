#include "accelerator/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <exception>
#include <mutex>
#include <thread>

#include "core/option.h"
#include "dnateq/error.h"

namespace dnateq::accelerator {
namespace {

bool read_number(std::string_view text, double& value) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc() && end == text.data() + text.size() && std::isfinite(value);
}

std::vector<double> numbers(std::string_view text, char separator, bool& good) {
  std::vector<double> values;
  for (size_t at = 0; good && at <= text.size();) {
    const size_t next = std::min(text.find(separator, at), text.size());
    double value = 0;
    good = read_number(text.substr(at, next - at), value);
    values.push_back(value);
    at = next + 1;
  }
  return values;
}

}  // namespace

SweepAxis parse_axis(const std::string& text) {
  const auto refuse = [&](const char* why) {
    return Error(
        fmt::format("{} '{}' {}; it reads KEY=FROM:TO:STEP or KEY=VALUE,VALUE,...", option("sweep"), text, why));
  };
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) throw refuse("names no key");
  SweepAxis axis{text.substr(0, equals), {}};
  const std::string_view list = std::string_view(text).substr(equals + 1);
  bool good = true;
  if (list.find(':') == std::string_view::npos) {
    axis.values = numbers(list, ',', good);
    if (!good) throw refuse("is no list of numbers");
    return axis;
  }
  const std::vector<double> range = numbers(list, ':', good);
  if (!good || range.size() != 3) throw refuse("is no range");
  const double from = range[0], to = range[1], step = range[2];
  if (!(step > 0) || to < from) throw refuse("is an empty range");
  const double steps = std::floor((to - from) / step * (1 + 1e-12) + 1e-9);
  if (steps >= static_cast<double>(kMostPoints)) throw refuse("has too many values");
  for (int64_t i = 0; i <= static_cast<int64_t>(steps); ++i)
    axis.values.push_back(from + static_cast<double>(i) * step);
  return axis;
}

std::pair<std::string, double> parse_setting(const std::string& text) {
  const size_t equals = text.find('=');
  double value = 0;
  if (equals == std::string::npos || equals == 0 || !read_number(std::string_view(text).substr(equals + 1), value))
    throw Error(fmt::format("{} '{}' is not of the form KEY=NUMBER", option("set"), text));
  return {text.substr(0, equals), value};
}

Outcome outcome_of(const DesignResult& result) {
  Outcome outcome;
  outcome.design = result.design;
  outcome.cycles = result.cycles().total();
  outcome.milliseconds = static_cast<double>(outcome.cycles) / (result.clock_mhz * 1e3);
  outcome.dram_bytes = static_cast<double>(result.bytes().total());
  outcome.energy_pj = total(result.energy_pj());
  for (const auto& [part, area] : result.area_um2) outcome.area_um2 += area;
  return outcome;
}

int64_t point_count(const std::vector<SweepAxis>& axes) {
  int64_t points = 1;
  for (const SweepAxis& axis : axes) {
    points *= static_cast<int64_t>(axis.values.size());
    if (points > kMostPoints)
      throw Error(fmt::format("the sweep has more than {} points; take larger steps, or spread it over several runs",
                              kMostPoints));
  }
  return points;
}

std::vector<SweepPoint> run_sweep(const std::vector<SweepAxis>& axes, int threads,
                                  const std::function<std::vector<Outcome>(const std::vector<double>&)>& evaluate,
                                  const std::function<void(size_t)>& done) {
  std::vector<SweepPoint> points(static_cast<size_t>(point_count(axes)));
  for (size_t p = 0; p < points.size(); ++p) {
    size_t rest = p;
    points[p].at.resize(axes.size());
    for (size_t a = axes.size(); a-- > 0; rest /= axes[a].values.size())
      points[p].at[a] = axes[a].values[rest % axes[a].values.size()];
  }
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::exception_ptr failure;
  size_t finished = 0;
  const auto work = [&] {
    for (size_t p = next++; p < points.size() && !stop; p = next++) {
      try {
        points[p].outcomes = evaluate(points[p].at);
        const std::lock_guard lock(mutex);
        done(++finished);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        stop = true;
      }
    }
  };
  std::vector<std::thread> workers;
  for (int i = 1; i < std::min<int64_t>(threads, static_cast<int64_t>(points.size())); ++i) workers.emplace_back(work);
  work();
  for (std::thread& worker : workers) worker.join();
  if (failure) std::rethrow_exception(failure);
  return points;
}

}  // namespace dnateq::accelerator
