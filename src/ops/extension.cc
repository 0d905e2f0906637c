// Entry point of libdnateq_openvino.so: `core.add_extension("libdnateq_openvino.so")`, `benchmark_app -extensions`.
#include <openvino/core/extension.hpp>

#include "ops/ops.h"

OPENVINO_CREATE_EXTENSIONS(dnateq::ops::operation_extensions());
