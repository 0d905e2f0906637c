// The problem families of bench_kernels besides matmul: each prints its line and says whether its results were right.
#pragma once

#include <string>

namespace dnateq::bench {

bool encode(const std::string& problem);    // encode:b4[,u8]
bool count(const std::string& problem);     // count:n3,k4096[,one]
bool convolve(const std::string& problem);  // conv:n1h56w56c64o64k3s1b4[,...]; only where oneDNN was found

}  // namespace dnateq::bench
