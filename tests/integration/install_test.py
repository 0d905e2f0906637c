"""`cmake --install` into a prefix, and examples/cpp as somebody else's project that finds dnateq there."""

import os
import shutil
import subprocess
import unittest
from pathlib import Path

import openvino as ov
from support import BINARY, ROOT, Case, main

BUILD = BINARY.parents[1]
OPENVINO = Path(ov.__file__).parent / "cmake"


@unittest.skipIf(os.environ.get("DNATEQ_SANITIZED"), "a program without sanitizers cannot link an instrumented library")
class Install(Case):
    def run_to_end(self, *command):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=500, cwd=self.folder, check=False)
        self.assertEqual(done.returncode, 0, msg=f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout

    def test_a_project_of_its_own_finds_dnateq(self):
        prefix, source, build = (self.folder / name for name in ("prefix", "source", "build"))
        self.run_to_end("cmake", "--install", BUILD, "--prefix", prefix)
        moved = prefix.rename(self.folder / "moved")  # an installed tree knows no path of its own
        shutil.copytree(ROOT / "examples/cpp", source)
        self.run_to_end("cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={moved}",
                        f"-DOpenVINO_DIR={OPENVINO}")
        self.run_to_end("cmake", "--build", build)

        quantize = ("quantize", self.net, "--calibration", self.calib, "--target-bits", "4", "--emit", "cpu", "-o", self.out, "-q")
        self.run_to_end(moved / "bin/dnateq", *quantize)
        extension = next(moved.glob("lib*/**/libdnateq_openvino.so"))
        self.assertIn("scores [1,10]", self.run_to_end(build / "run_model", self.out / "model.xml", extension))
        lines = self.run_to_end(build / "read_recipe", self.out / "recipe.dnateq.json").splitlines()
        self.assertEqual([line.split(":")[0] for line in lines], ["conv1", "conv2", "head"])

    def test_the_package_says_where_things_are_and_for_which_openvino(self):
        prefix = self.folder / "prefix"
        self.run_to_end("cmake", "--install", BUILD, "--prefix", prefix)
        (self.folder / "CMakeLists.txt").write_text("""
cmake_minimum_required(VERSION 3.25)
project(question LANGUAGES CXX)
find_package(dnateq 0.1 REQUIRED CONFIG)
get_target_property(program dnateq::program LOCATION)
foreach(file ${dnateq_EXTENSION} ${program})
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "no ${file}")
  endif()
endforeach()
message(STATUS "OpenVINO ${dnateq_OPENVINO_VERSION}")
find_package(dnateq 9.9 CONFIG QUIET)
if(dnateq_FOUND)
  message(FATAL_ERROR "a later version was asked for")
endif()
""")
        said = self.run_to_end("cmake", "-S", self.folder, "-B", self.folder / "question", f"-DCMAKE_PREFIX_PATH={prefix}")
        self.assertIn(f"OpenVINO {ov.__version__.split('-')[0]}", said)


if __name__ == "__main__":
    main()
