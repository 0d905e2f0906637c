#include "kernels/pooling_kernel.h"

namespace dnateq::kernels {

void pool_line_avx2(const PoolingLine<uint8_t>& line) { pool_line(line); }
void pool_line_avx2(const PoolingLine<int8_t>& line) { pool_line(line); }

}  // namespace dnateq::kernels
