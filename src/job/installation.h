// What is installed with the program and the Python package: the project's own scripts, and Pythons to run them with.
#pragma once

#include <filesystem>

namespace dnateq {

struct Installation {
  std::filesystem::path program;  // the program dnateq; empty: unknown
  std::filesystem::path python;   // a Python with OpenVINO; empty: the source tree's
};

// bench/ and tools/ lie in share/dnateq beside the program's bin/; else in the source tree that this was built from.
// Empty if they are in neither.
std::filesystem::path find_scripts(const Installation& installation);

// The same; throws Error if they are nowhere.
std::filesystem::path scripts_folder(const Installation& installation);

// Whether or not it is there.
std::filesystem::path bench_python(const Installation& installation, const std::filesystem::path& scripts);

// OpenVINO's extension with our operations; empty if it is not beside the program.
std::filesystem::path find_extension(const Installation& installation);

// The library of the package openvino-tokenizers: the file that DNATEQ_TOKENIZERS names, else that beside the OpenVINO
// that this process runs with, as pip installs both; empty if it is not there.
std::filesystem::path find_tokenizers_extension();

// Where tools/peers.sh installs the packages of requirements-bench.txt: build/peers-venv of the source tree; where the
// scripts are installed, the user's cache folder.
std::filesystem::path peers_folder(const std::filesystem::path& scripts);

// Python with those packages, whether or not it is there.
std::filesystem::path peers_python(const std::filesystem::path& scripts);

}  // namespace dnateq
