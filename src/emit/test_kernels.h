// A test run again with every kernel forced.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "data/test_files.h"
#include "kernels/matmul.h"

namespace dnateq::testing {

// The kernel is chosen once a process: each runs in one of its own, which writes what it got. `test`: the test that
// calls, by its whole name.
inline void expect_same_bits_with_every_kernel(const std::string& test, const std::vector<float>& mine) {
  constexpr const char* kResultVariable = "DNATEQ_TEST_RESULT";
  if (const char* file = std::getenv(kResultVariable)) {  // NOLINT(concurrency-mt-unsafe)
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(mine.data()), static_cast<std::streamsize>(mine.size() * sizeof(float)));
    return;
  }
  const TempFolder folder;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  for (const kernels::KernelVerdict& kernel : kernels::explain_matmul({.m = 4, .n = 64, .k = 64})) {
    if (kernel.refusal.starts_with("this CPU")) continue;
    const std::filesystem::path file = folder / kernel.name;
    const std::string command = std::string(kResultVariable) + "='" + file.string() + "' DNATEQ_KERNEL=" + kernel.name +
                                " '" + self + "' --gtest_filter=" + test + " >/dev/null";
    ASSERT_EQ(std::system(command.c_str()), 0) << kernel.name;  // NOLINT(concurrency-mt-unsafe,cert-env33-c)
    std::ifstream in(file, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    ASSERT_EQ(bytes.size(), mine.size() * sizeof(float)) << kernel.name;
    EXPECT_EQ(std::memcmp(bytes.data(), mine.data(), bytes.size()), 0) << kernel.name;
  }
}

}  // namespace dnateq::testing
