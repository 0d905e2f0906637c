# Test code runs once: most of its compile time would go into optimizing gtest's and gmock's templates.
set(DNATEQ_TEST_OPTIMIZATION "-O1" CACHE STRING "Optimization of test code; the libraries keep the build type's")

# dnateq_module(NAME [COMPUTING_TESTS] [DEPENDS target...]): a static library `dnateq_NAME` of the folder's *.cc, and one test program
# `NAME_test` of its *_test.cc. COMPUTING_TESTS: they compute much themselves, and are optimized as the library is.
function(dnateq_module name)
  cmake_parse_arguments(ARG "COMPUTING_TESTS" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  add_library(dnateq_${name} STATIC ${sources})
  target_include_directories(dnateq_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(dnateq_${name} PUBLIC ${ARG_DEPENDS})
  dnateq_warnings(dnateq_${name})
  if(tests AND NOT DNATEQ_WHEEL)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE dnateq_${name} GTest::gtest_main GTest::gmock)
    dnateq_warnings(${name}_test)
    if(NOT ARG_COMPUTING_TESTS)
      target_compile_options(${name}_test PRIVATE ${DNATEQ_TEST_OPTIMIZATION})
    endif()
    gtest_discover_tests(${name}_test DISCOVERY_TIMEOUT 60)
  endif()
endfunction()

# dnateq_precompile(TARGET HEADER...): for CI's time, and only in preset `dev`, so that the release build misses no #include.
option(DNATEQ_PRECOMPILE "Precompile OpenVINO's and the tests' headers" OFF)
function(dnateq_precompile target)
  if(DNATEQ_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()

function(dnateq_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Werror)
endfunction()
