#include "report/tensor_view.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/distribution.h"
#include "core/uniform_grid.h"

namespace dnateq {
namespace {

using nlohmann::json;

json for_display(const std::vector<double>& values) {
  json list = json::array();
  for (const double value : values) list.push_back(dnateq::for_display(value));
  return list;
}

double signal_power(const std::vector<Histogram::Bin>& bins) {
  double power = 0;
  for (const Histogram::Bin& bin : bins) power += double(bin.count) * double(bin.center) * double(bin.center);
  return power;
}

double code_squared_error(const std::vector<Histogram::Bin>& bins, const Encoder& encoder) {
  double error = 0;
  for (const Histogram::Bin& bin : bins) {
    const double difference = double(bin.center) - double(encoder.decode(encoder.encode(bin.center)));
    error += double(bin.count) * difference * difference;
  }
  return error;
}

double sqnr_db(double power, double error) {
  if (power <= 0 || error <= 0) return std::numeric_limits<double>::quiet_NaN();
  return 10 * std::log10(power / error);
}

// The range to draw: all levels, and all values but the outermost 1 in 2,000 of each side (a few outliers would
// otherwise squeeze the rest into one bin).
std::pair<double, double> display_range(const std::vector<Histogram::Bin>& bins, const std::vector<double>& levels) {
  double total = 0;
  for (const Histogram::Bin& bin : bins) total += double(bin.count);
  const double tail = total / 2000;
  double low = 0, high = 0, seen = 0;
  for (const Histogram::Bin& bin : bins) {
    if (seen <= tail) low = std::min(low, double(std::min(bin.low, bin.high)));
    seen += double(bin.count);
    if (total - seen >= tail || high == 0) high = std::max(high, double(std::max(bin.low, bin.high)));
  }
  if (!levels.empty()) {
    low = std::min(low, levels.front());
    high = std::max(high, levels.back());
  }
  if (low == high) return {low - 1, high + 1};
  const double margin = 0.02 * (high - low);
  return {low < 0 ? low - margin : 0.0, high + margin};
}

// A fit to magnitudes is mirrored: each side has the share of the values that it holds.
json fits_document(const std::vector<DistributionFit>& fits, double low, double high, double negative_share) {
  json list = json::array();
  for (const DistributionFit& fit : fits) {
    std::vector<double> density;
    for (int i = 0; i < kDensityPoints; ++i) {
      const double x = low + (high - low) * (i + 0.5) / kDensityPoints;
      const double share = x < 0 ? negative_share : 1 - negative_share;
      density.push_back(fit.on_magnitudes ? share * fit.density(std::abs(x)) : fit.density(x));
    }
    list.push_back({{"name", fit.name},
                    {"rss", dnateq::for_display(fit.rss)},
                    {"ks", dnateq::for_display(fit.ks)},
                    {"parameters", {dnateq::for_display(fit.parameter1), dnateq::for_display(fit.parameter2)}},
                    {"mirrored", fit.on_magnitudes},
                    {"density", for_display(density)}});
  }
  return list;
}

}  // namespace

double for_display(double value) {
  if (!std::isfinite(value)) return std::numeric_limits<double>::quiet_NaN();
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", value);
  return std::strtod(text, nullptr);
}

DisplayHistogram display_histogram(const Histogram& histogram, double low, double high) {
  DisplayHistogram display{.low = low, .high = high, .counts = std::vector<double>(kDisplayBins, 0.0)};
  const double width = high > low ? (high - low) / kDisplayBins : 1;
  // A range may be far narrower than a source bin: the bin's edges then lie beyond what an int holds.
  const auto display_bin = [&](double x, int least) {
    return static_cast<int>(std::clamp((x - low) / width, double(least), kDisplayBins - 1.0));
  };
  for (const Histogram::Bin& bin : histogram.bins()) {
    const double count = double(bin.count);
    const double left = std::min(bin.low, bin.high), right = std::max(bin.low, bin.high);
    if (bin.center < low) {
      display.below += count;
    } else if (bin.center > high) {
      display.above += count;
    } else {
      const int first = display_bin(left, 0), last = high > low ? display_bin(right, first) : first;
      const double inside_left = std::max(left, low), inside_right = std::min(right, high);
      for (int i = first; i <= last; ++i) {
        const double overlap = std::min(inside_right, low + (i + 1) * width) - std::max(inside_left, low + i * width);
        const double share = first == last ? 1.0 : std::max(0.0, overlap) / (inside_right - inside_left);
        display.counts[size_t(i)] += count * share;
      }
    }
  }
  return display;
}

std::vector<double> sorted_levels(const TensorCode& code) {
  std::vector<double> levels;
  if (has_zero(code)) levels.push_back(0.0);
  const std::vector<float> magnitude = magnitudes(code);
  for (size_t i = 0; i < magnitude.size(); ++i) {
    if (int(i) < code.positive_levels) levels.push_back(double(magnitude[i]));
    if (int(i) < code.negative_levels) levels.push_back(-double(magnitude[i]));
  }
  std::sort(levels.begin(), levels.end());
  return levels;
}

std::vector<double> sorted_thresholds(const TensorCode& code) {
  const Encoder encoder(code);
  std::vector<double> thresholds;
  for (const uint32_t bits : encoder.positive_thresholds()) thresholds.push_back(double(std::bit_cast<float>(bits)));
  for (const uint32_t bits : encoder.negative_thresholds()) thresholds.push_back(-double(std::bit_cast<float>(bits)));
  std::sort(thresholds.begin(), thresholds.end());
  thresholds.erase(std::unique(thresholds.begin(), thresholds.end()), thresholds.end());  // 0 of both sides
  return thresholds;
}

json tensor_view_document(const Histogram& histogram, const TensorCode& code) {
  const std::vector<Histogram::Bin> bins = histogram.bins();
  const std::vector<double> levels = sorted_levels(code);
  const auto [low, high] = display_range(bins, levels);
  const DisplayHistogram display = display_histogram(histogram, low, high);
  const TensorCode of_grid = has_zero(code) ? code : with_level_counts(code, code.stored_bits);
  const UniformGrid uniform = best_uniform_grid(bins, of_grid.negative_levels, of_grid.positive_levels);
  const double power = signal_power(bins);

  double negative = 0, total = 0;
  for (const Histogram::Bin& bin : bins) {
    total += double(bin.count);
    if (bin.center < 0) negative += double(bin.count);
  }

  json counts = json::array();
  for (const double count : display.counts) counts.push_back(std::round(count * 10) / 10);
  return {{"values", histogram.count()},
          {"zeros", histogram.zeros()},
          {"non_finite", histogram.non_finite()},
          {"minimum", for_display(double(histogram.minimum()))},
          {"maximum", for_display(double(histogram.maximum()))},
          {"low", for_display(low)},
          {"high", for_display(high)},
          {"counts", counts},
          {"below", std::round(display.below)},
          {"above", std::round(display.above)},
          {"levels", for_display(levels)},
          {"thresholds", for_display(sorted_thresholds(code))},
          {"sqnr_db", for_display(sqnr_db(power, code_squared_error(bins, Encoder(code))))},
          {"uniform",
           {{"step", for_display(uniform.step)},
            {"negative_levels", uniform.negative_levels},
            {"positive_levels", uniform.positive_levels},
            {"sqnr_db", for_display(sqnr_db(power, uniform.squared_error))}}},
          {"fits", bins.empty()
                       ? json::array()
                       : fits_document(fit_distributions(histogram), low, high, total > 0 ? negative / total : 0.0)}};
}

}  // namespace dnateq
