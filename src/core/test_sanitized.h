// For tests that run many cases alike: whether this build has the address sanitizer, which makes them several times as
// slow and sees with a part of the cases what it sees with all.
#pragma once

namespace dnateq::testing {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace dnateq::testing
