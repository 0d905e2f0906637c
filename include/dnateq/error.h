// The one exception type that crosses dnateq's module borders.
#pragma once

#include <stdexcept>

namespace dnateq {

// what() is one sentence for the user: it names the file, layer or tensor concerned and what to do about it.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Thrown when the progress callback asked to stop; work that is finished stays on disk and can be resumed.
class Cancelled : public Error {
 public:
  using Error::Error;
};

}  // namespace dnateq
