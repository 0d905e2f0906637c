// For tests: the sentence of an Error.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "dnateq/error.h"

namespace dnateq::testing {

// Of the Error that `action` throws; empty (and a failure) if it throws none.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return {};
}

}  // namespace dnateq::testing
