// The project's own scripts and their Python environments, found beside the program or in the source tree.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace dnateq {

// Folder of the running program; empty if it cannot be told.
std::filesystem::path program_folder();

// Installed, bench/ and tools/ lie in share/dnateq beside bin/; else in the source tree that this was built from. Empty
// if they are in neither.
std::filesystem::path find_scripts();

// The same; throws Error if they are nowhere.
std::filesystem::path scripts_folder();

// Python with OpenVINO, whether or not it is there: that of the package dnateq (its environment says DNATEQ_PYTHON),
// else the source tree's.
std::filesystem::path bench_python(const std::filesystem::path& scripts);

// Where tools/peers.sh installs the packages of requirements-bench.txt: build/peers-venv of the source tree; where the
// scripts are installed, the user's cache folder.
std::filesystem::path peers_folder(const std::filesystem::path& scripts);

// Python with those packages, whether or not it is there.
std::filesystem::path peers_python(const std::filesystem::path& scripts);

// For execv: valid as long as `words` is.
std::vector<char*> pointers(std::vector<std::string>& words);

// Runs a program to its end; both of its streams go to `log`, or stay ours where that is empty. False if it fails or
// cannot be started.
bool run_to_end(std::vector<std::string> words, const std::filesystem::path& log = {});

}  // namespace dnateq
