#include "core/distribution.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <tuple>
#include <utility>

namespace dnateq {
namespace {

constexpr int kResidualBins = 100;
constexpr double kTail = 0.001;  // left out of the residuals at either end
constexpr int kParetoQuantiles = 50;

// Density and distribution function of a family, of the values or of the magnitudes (>= 0).
struct Formula {
  const char* name;
  bool of_paper, on_magnitudes;
  double (*density)(double x, double a, double b);
  double (*cdf)(double x, double a, double b);
};

double gauss(double z) { return std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi); }

constexpr std::array kFormulas = {
    Formula{
        "normal", true, false, [](double x, double mean, double sigma) { return gauss((x - mean) / sigma) / sigma; },
        [](double x, double mean, double sigma) { return std::erfc((mean - x) / sigma / std::numbers::sqrt2) / 2; }},
    Formula{"exponential", true, true,  //
            [](double x, double rate, double) { return rate * std::exp(-rate * x); },
            [](double x, double rate, double) { return -std::expm1(-rate * x); }},
    Formula{
        "pareto", true, true,
        [](double x, double x_min, double exponent) {
          return x < x_min ? 0.0 : exponent / x * std::pow(x_min / x, exponent);
        },
        [](double x, double x_min, double exponent) { return x < x_min ? 0.0 : 1 - std::pow(x_min / x, exponent); }},
    Formula{"uniform", true, false,
            [](double x, double low, double high) { return x < low || x > high ? 0.0 : 1 / (high - low); },
            [](double x, double low, double high) { return std::clamp((x - low) / (high - low), 0.0, 1.0); }},
    Formula{"laplace", false, false,
            [](double x, double rate, double) { return rate / 2 * std::exp(-rate * std::fabs(x)); },
            [](double x, double rate, double) { return x < 0 ? std::exp(rate * x) / 2 : 1 - std::exp(-rate * x) / 2; }},
    Formula{"half-normal", false, true, [](double x, double sigma, double) { return 2 * gauss(x / sigma) / sigma; },
            [](double x, double sigma, double) { return std::erf(x / sigma / std::numbers::sqrt2); }},
};

const Formula* find_formula(const std::string& name) {
  const auto found = std::ranges::find_if(kFormulas, [&](const Formula& formula) { return name == formula.name; });
  return found == kFormulas.end() ? nullptr : &*found;
}

// Part of the data, spread evenly from low to high.
struct Slice {
  double low, high, count;
  double width() const { return high - low; }
  double center() const { return (low + high) / 2; }
};

// Piecewise linear distribution function of the data. Slices ascend and do not overlap.
class Empirical {
 public:
  explicit Empirical(std::vector<Slice> slices) : slices_(std::move(slices)) {
    before_.reserve(slices_.size());
    for (const Slice& slice : slices_) {
      before_.push_back(total_);
      total_ += slice.count;
    }
  }

  const std::vector<Slice>& slices() const { return slices_; }
  double total() const { return total_; }

  double cdf(double x) const {
    const auto after = std::ranges::upper_bound(slices_, x, {}, &Slice::low);
    if (after == slices_.begin()) return 0;
    const auto i = static_cast<size_t>(after - slices_.begin()) - 1;
    const double part = std::min((x - slices_[i].low) / slices_[i].width(), 1.0);
    return (before_[i] + part * slices_[i].count) / total_;
  }

  size_t slice_of_quantile(double p) const {
    const auto after = std::ranges::upper_bound(before_, p * total_);
    return static_cast<size_t>(after - before_.begin()) - 1;
  }

  double quantile(double p) const {
    const size_t i = slice_of_quantile(p);
    return slices_[i].low + (p * total_ - before_[i]) / slices_[i].count * slices_[i].width();
  }

  // Mean over the data; `per_value` is the mean over one slice.
  template <class F>
  double mean(F per_value) const {
    double sum = 0;
    for (const Slice& slice : slices_) sum += slice.count * per_value(slice);
    return sum / total_;
  }

  template <class Cdf>
  double kolmogorov_smirnov(Cdf model) const {
    double largest = 0;
    for (size_t i = 0; i < slices_.size(); ++i) {
      const double at_low = before_[i] / total_, at_high = (before_[i] + slices_[i].count) / total_;
      largest =
          std::max({largest, std::fabs(at_low - model(slices_[i].low)), std::fabs(at_high - model(slices_[i].high))});
    }
    return largest;
  }

 private:
  std::vector<Slice> slices_;
  std::vector<double> before_;  // data in the slices before each
  double total_ = 0;
};

Empirical values_of(const std::vector<Histogram::Bin>& bins) {
  std::vector<Slice> slices;
  slices.reserve(bins.size());
  for (const Histogram::Bin& bin : bins)
    slices.push_back({std::min(bin.low, bin.high), std::max(bin.low, bin.high), static_cast<double>(bin.count)});
  return Empirical(std::move(slices));
}

Empirical magnitudes_of(const std::vector<Histogram::Bin>& bins) {
  std::vector<Slice> slices;
  slices.reserve(bins.size());
  for (const Histogram::Bin& bin : bins)
    slices.push_back({std::fabs(bin.low), std::fabs(bin.high), static_cast<double>(bin.count)});
  std::ranges::stable_sort(slices, {}, &Slice::low);
  // The bins of +x and -x have the same edges.
  std::vector<Slice> merged;
  for (const Slice& slice : slices) {
    if (!merged.empty() && merged.back().low == slice.low)
      merged.back().count += slice.count;
    else
      merged.push_back(slice);
  }
  return Empirical(std::move(merged));
}

double mean_of_square(const Slice& slice) {
  return slice.center() * slice.center() + slice.width() * slice.width() / 12;
}

using Parameters = std::pair<double, double>;

Parameters fit_normal(const Empirical& values) {
  const double mean = values.mean([](const Slice& slice) { return slice.center(); });
  const double variance = values.mean([&](const Slice& slice) {
    return mean_of_square({slice.low - mean, slice.high - mean, slice.count});
  });
  return {mean, std::sqrt(variance)};
}

Parameters fit_uniform(const Empirical& values, const Histogram& histogram) {
  // The histogram's extremes are exact, but may belong to zeros; the slices know no zeros, but only edges.
  const double first = values.slices().front().low, last = values.slices().back().high;
  const double low = std::max(first, static_cast<double>(histogram.minimum()));
  const double high = std::min(last, static_cast<double>(histogram.maximum()));
  return low < high ? Parameters{low, high} : Parameters{first, last};  // all values are the same
}

Parameters fit_pareto(const Empirical& magnitudes) {
  const std::vector<Slice>& slices = magnitudes.slices();
  // Data, and their sum of logarithms, from each slice upwards.
  std::vector<double> count_above(slices.size()), logarithms_above(slices.size());
  double count = 0, logarithms = 0;
  for (size_t i = slices.size(); i-- > 0;) {
    count_above[i] = count += slices[i].count;
    logarithms_above[i] = logarithms += slices[i].count * std::log(slices[i].center());
  }
  const Formula& pareto = *find_formula("pareto");
  Parameters best;
  double best_distance = std::numeric_limits<double>::infinity();
  size_t last_tried = slices.size();
  for (int percent = 0; percent <= kParetoQuantiles; ++percent) {
    const size_t i = magnitudes.slice_of_quantile(percent / 100.0);
    if (i == last_tried) continue;
    last_tried = i;
    const double x_min = slices[i].low;
    const double exponent = count_above[i] / (logarithms_above[i] - count_above[i] * std::log(x_min));
    const double distance = magnitudes.kolmogorov_smirnov([&](double x) { return pareto.cdf(x, x_min, exponent); });
    if (distance < best_distance) {
      best_distance = distance;
      best = {x_min, exponent};
    }
  }
  return best;
}

// Distribution function over the values; that of a fit to magnitudes is split between the signs.
double signed_cdf(const DistributionFit& fit, double negative_share, double x) {
  if (!fit.on_magnitudes) return fit.cdf(x);
  return x < 0 ? negative_share * (1 - fit.cdf(-x)) : negative_share + (1 - negative_share) * fit.cdf(x);
}

void judge(DistributionFit& fit, const Empirical& values) {
  const double negative_share = values.cdf(0);
  const auto model = [&](double x) { return signed_cdf(fit, negative_share, x); };
  fit.ks = values.kolmogorov_smirnov(model);
  const double low = values.quantile(kTail), high = values.quantile(1 - kTail);
  const double width = (high - low) / kResidualBins;
  double squares = 0;
  for (int bin = 0; bin < kResidualBins; ++bin) {
    const double left = low + bin * width, right = low + (bin + 1) * width;
    const double residual = (values.cdf(right) - values.cdf(left) - (model(right) - model(left))) / width;
    squares += residual * residual;
  }
  fit.rss = squares * width;
}

}  // namespace

double DistributionFit::density(double x) const {
  const Formula* formula = find_formula(name);
  if (formula == nullptr || (on_magnitudes && x < 0)) return 0;
  return formula->density(x, parameter1, parameter2);
}

double DistributionFit::cdf(double x) const {
  const Formula* formula = find_formula(name);
  if (formula == nullptr || (on_magnitudes && x < 0)) return 0;
  return formula->cdf(x, parameter1, parameter2);
}

std::vector<DistributionFit> fit_distributions(const Histogram& histogram) {
  const std::vector<Histogram::Bin> bins = histogram.bins();
  if (bins.empty()) return {};
  const Empirical values = values_of(bins), magnitudes = magnitudes_of(bins);
  const double rate = 1 / magnitudes.mean([](const Slice& slice) { return slice.center(); });
  const auto parameters = [&](const std::string& name) -> Parameters {
    if (name == "normal") return fit_normal(values);
    if (name == "uniform") return fit_uniform(values, histogram);
    if (name == "pareto") return fit_pareto(magnitudes);
    if (name == "half-normal") return {std::sqrt(magnitudes.mean(mean_of_square)), 0};
    return {rate, 0};  // exponential, laplace
  };

  std::vector<DistributionFit> fits;
  for (const Formula& formula : kFormulas) {
    DistributionFit fit;
    fit.name = formula.name;
    fit.on_magnitudes = formula.on_magnitudes;
    std::tie(fit.parameter1, fit.parameter2) = parameters(fit.name);
    judge(fit, values);
    fits.push_back(fit);
  }
  std::ranges::stable_sort(fits, {}, &DistributionFit::rss);
  return fits;
}

std::string best_of_paper_families(const std::vector<DistributionFit>& fits) {
  for (const DistributionFit& fit : fits) {
    const Formula* formula = find_formula(fit.name);
    if (formula != nullptr && formula->of_paper) return fit.name;
  }
  return "";
}

}  // namespace dnateq
