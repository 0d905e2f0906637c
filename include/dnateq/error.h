// The one exception type that crosses dnateq's module borders.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>

namespace dnateq {

// One sentence for the user: it names the file, layer or tensor concerned and what to do about it. Where that is an
// option, the sentence marks it by its key (core/option.h): marked() is for those who have words of their own for
// options, what() names them by their keys.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& sentence);

  const std::string& marked() const noexcept { return *marked_; }

 private:
  std::shared_ptr<const std::string> marked_;  // shared, since exceptions are copied where nothing may be thrown
};

// Thrown when the progress callback asked to stop; work that is finished stays on disk and can be resumed.
class Cancelled : public Error {
 public:
  using Error::Error;
};

}  // namespace dnateq
