// encode:bN[,u8]: 4096 floats of the L1 cache to level integers with each encoder of this CPU, beside dynamic INT8
// (row_quantizer.h) and dnateq::Encoder, which gives stored codes. u8: a code without negative levels.
#include "kernels/encoder.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <random>

#include "kernels/row_quantizer.h"
#include "problems.h"
#include "turns.h"

namespace dnateq::bench {

bool encode(const std::string& problem) {
  int bits = 0;
  const bool is_unsigned = problem.ends_with(",u8");
  if (std::sscanf(problem.c_str(), "encode:b%d", &bits) != 1 || bits < kMinStoredBits || bits > kMaxStoredBits) {
    fmt::print(stderr, "{}: write it as encode:b4[,u8], 2 to 8 stored bits\n", problem);
    return false;
  }
  TensorCode code = with_level_counts({}, bits, is_unsigned ? 0 : -1);
  if (!is_unsigned) code.positive_levels = std::min(code.positive_levels, 127);
  const int levels = code.positive_levels;
  code.base = 1 + 2.0 / levels;
  code.grid = is_unsigned ? 60 : 30;
  code.beta = 0.02;
  code.alpha = 4 / std::pow(code.base, levels - 1);
  const kernels::ActivationEncoder encoder(code);
  const Encoder stored(code);

  constexpr size_t kCount = 4096;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> x(kCount);
  for (float& value : x) value = is_unsigned ? std::abs(normal(random)) : normal(random);
  std::vector<uint8_t> expected(kCount), found(kCount), codes(kCount);
  int32_t sum = 0;
  float scale = 0;
  const auto rows = [&](std::vector<uint8_t>& out) {
    return kernels::EncoderRows{x.data(), kCount, 1, kCount, out.data(), kCount, &sum};
  };
  encoder.encode_with("scalar", rows(expected));

  std::vector<std::string> names;
  std::vector<std::function<void()>> works;
  for (const kernels::KernelVerdict& verdict : encoder.explain()) {
    if (!verdict.refusal.empty()) continue;
    encoder.encode_with(verdict.name, rows(found));
    if (found != expected) {
      fmt::print(stderr, "{}: {} is wrong\n", problem, verdict.name);
      return false;
    }
    names.push_back(verdict.name);
    works.emplace_back([&, name = verdict.name] { encoder.encode_with(name, rows(found)); });
  }
  names.emplace_back("dynamic INT8");
  works.emplace_back([&] {
    kernels::quantize_rows(
        {x.data(), kCount, 1, kCount, reinterpret_cast<int8_t*>(found.data()), kCount, &scale, &sum});
  });
  names.emplace_back("dnateq::Encoder");
  works.emplace_back([&] { stored.encode(x, codes); });
  const std::vector<double> medians = by_turns(works, repeats_for(works));
  fmt::print("{:24} ns per element:", problem);
  for (size_t i = 0; i < works.size(); ++i)
    fmt::print("{} {} {:.3f}", i == 0 ? "" : ",", names[i], medians[i] / kCount * 1e9);
  fmt::print("\n");
  return true;
}

}  // namespace dnateq::bench
