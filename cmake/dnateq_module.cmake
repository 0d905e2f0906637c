set(DNATEQ_PLAIN_OPTIMIZATION "-O1")
# Test code runs once: most of its compile time would go into optimizing gtest's and gmock's templates.
set(DNATEQ_TEST_OPTIMIZATION "-O1" CACHE STRING "Optimization of test code; the libraries keep the build type's")

# dnateq_module(NAME [PLAIN] [TOGETHER] [TESTS_APART] [COMPUTING_TESTS]
#               [DEPENDS target...] [FOLDERS folder...] [EXCEPT file...])
# A static library `dnateq_NAME` of the folder's *.cc and of those of FOLDERS in it, without the files of EXCEPT, and one test
# program `NAME_test` of its *_test.cc.
# PLAIN: nothing in it computes for long, so that it is optimized little: 15 s instead of 28 s for the file with most options.
# TOGETHER: several of its files are compiled at once (dnateq_together), and of its tests but for TESTS_APART.
# COMPUTING_TESTS: they compute much themselves, and are optimized as the library is.
function(dnateq_module name)
  cmake_parse_arguments(ARG "PLAIN;TOGETHER;TESTS_APART;COMPUTING_TESTS" "" "DEPENDS;FOLDERS;EXCEPT" ${ARGN})
  set(patterns *.cc)
  foreach(folder ${ARG_FOLDERS})
    list(APPEND patterns ${folder}/*.cc)
  endforeach()
  list(TRANSFORM patterns PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  foreach(file ${ARG_EXCEPT})
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  add_library(dnateq_${name} STATIC ${sources})
  target_include_directories(dnateq_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)
  target_link_libraries(dnateq_${name} PUBLIC ${ARG_DEPENDS})
  dnateq_warnings(dnateq_${name})
  if(ARG_PLAIN)
    target_compile_options(dnateq_${name} PRIVATE ${DNATEQ_PLAIN_OPTIMIZATION})
  endif()
  if(ARG_TOGETHER)
    dnateq_together(dnateq_${name})
  endif()
  if(tests AND GTest_FOUND)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE dnateq_${name} GTest::gtest_main GTest::gmock)
    dnateq_warnings(${name}_test)
    if(ARG_TOGETHER AND NOT ARG_TESTS_APART)
      dnateq_together(${name}_test)
    endif()
    if(NOT ARG_COMPUTING_TESTS)
      target_compile_options(${name}_test PRIVATE ${DNATEQ_TEST_OPTIMIZATION})
    endif()
    gtest_discover_tests(${name}_test DISCOVERY_TIMEOUT 60)
  endif()
endfunction()

# For `dev`, which compiles files one by one. g++ gains a sixth by it, and less where files are compiled together.
# tests/house_test.py sees that who uses OpenVINO still includes it.
option(DNATEQ_PRECOMPILE "Precompile the headers of OpenVINO, of the tests and others that are large" OFF)
set(dnateq_openvino_headers <algorithm> <functional> <map> <memory> <string> <vector> <fmt/format.h>
                            <nlohmann/json.hpp> <openvino/openvino.hpp> <openvino/opsets/opset13.hpp>)

# Files that include the same large headers are compiled together, eight at a time: the ten of src/quantize take g++ 14 s so, and
# 5 s each alone. What changes one file compiles all of them again, so that who works on the code switches it off (HACKING.md); `dev` has it off.
option(DNATEQ_TOGETHER "Compile several files of a folder at once" ON)
function(dnateq_together target)
  if(DNATEQ_TOGETHER)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  endif()
endfunction()

function(dnateq_precompile target)
  if(DNATEQ_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()

# The headers of OpenVINO for a TARGET that is compiled otherwise than the modules (visibility, position), so that it shares
# none with them.
function(dnateq_precompile_openvino_alone target)
  dnateq_precompile(${target} ${dnateq_openvino_headers})
endfunction()

# The headers of OpenVINO for module NAME and for its tests; made once for all libraries and once for all test programs.
function(dnateq_precompile_openvino name)
  set(headers ${dnateq_openvino_headers})
  if(NOT DNATEQ_PRECOMPILE)
    return()
  endif()
  if(name STREQUAL graph)
    target_precompile_headers(dnateq_graph PRIVATE ${headers})
    if(TARGET graph_test)
      target_precompile_headers(graph_test PRIVATE ${headers} <gmock/gmock.h> <gtest/gtest.h>)
    endif()
  else()
    target_precompile_headers(dnateq_${name} REUSE_FROM dnateq_graph)
    if(TARGET ${name}_test)
      target_precompile_headers(${name}_test REUSE_FROM graph_test)
    endif()
  endif()
endfunction()

function(dnateq_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Werror)
endfunction()
