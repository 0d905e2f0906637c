// Codes and histograms as members of documents: one form for the recipe and all caches.
#pragma once

#include "core/document.h"
#include "core/histogram.h"
#include "dnateq/code.h"

namespace dnateq {

Document code_document(const TensorCode& code);
// `tensor` is what errors call it. Every number and name is checked, and the code as a whole (validate()).
TensorCode read_code(const DocumentReader& reader, const std::string& tensor);

Document histogram_document(const Histogram& histogram);
Histogram read_histogram(const DocumentReader& reader);

}  // namespace dnateq
