// Tensors of known shape for the tests of src/search.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace dnateq::testing {

struct NamedValues {
  std::string name;
  std::vector<float> values;
};

inline std::vector<float> normal_values(size_t count, unsigned seed, float sigma = 1.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, sigma);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

inline std::vector<float> laplace_values(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::exponential_distribution<float> exponential(1.0F);
  std::vector<float> values(count);
  for (float& value : values) value = random() % 2 == 0 ? exponential(random) : -exponential(random);
  return values;
}

// Shapes that a curve fit must survive: smooth, flat, spiky, one-sided, of one value, with a far outlier.
inline std::vector<NamedValues> many_tensors(size_t count) {
  std::vector<NamedValues> all = {{"normal", normal_values(count, 1)}, {"laplace", laplace_values(count, 2)}};
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  std::vector<float> flat(count), sparse(count), positive(count), gelu(count);
  for (size_t i = 0; i < count; ++i) {
    flat[i] = uniform(random);
    sparse[i] = random() % 20 == 0 ? 3.0F * uniform(random) : 0.0F;
    positive[i] = std::fabs(all[0].values[i]) * 0.01F;
    const float x = 2.0F * all[0].values[i];
    gelu[i] = x * 0.5F * (1.0F + std::erf(x / 1.41421356F));
  }
  std::vector<float> negative = positive;
  for (float& value : negative) value = -value;
  std::vector<float> outlier = all[0].values;
  outlier[0] = 1000.0F;
  all.push_back({"uniform", flat});
  all.push_back({"sparse", sparse});
  all.push_back({"positive", positive});
  all.push_back({"negative", negative});
  all.push_back({"gelu", gelu});
  all.push_back({"outlier", outlier});
  all.push_back({"one value", std::vector<float>(count, 0.37F)});
  all.push_back({"one element", {-2.5F}});
  all.push_back({"two values", {1.0F, -3.0F, 1.0F}});
  all.push_back({"tiny", normal_values(count, 5, 1e-30F)});
  all.push_back({"huge", normal_values(count, 6, 1e30F)});
  return all;
}

}  // namespace dnateq::testing
