# Thin: every target is a script or a CMake preset. `make demo` and `make test` work on a fresh Debian 12.
preset ?= release
build_dir := build/$(preset)
sources = $(shell git ls-files -co --exclude-standard -- '*.h' '*.cc')

.PHONY: help setup configure build demo demo-language docs test bench fuzz format format-check tidy rtl-test rtl-report clean

help:
	@echo "make setup   install Debian packages and the virtual environment (only what is missing)"
	@echo "make build   build/release/bin/dnateq and build/release/lib/libdnateq_openvino.so; preset=dev: with sanitizers"
	@echo "make demo    quantize a real sentence-embedding network and write a report, out/demo/report.html"
	@echo "make demo-language   the same of a language model, SmolLM2-135M-Instruct, which then answers a question"
	@echo "make test    build, then all tests"
	@echo "make docs    the site, build/docs/index.html"
	@echo "make bench   FP32, the demo's networks and their peers side by side"
	@echo "make fuzz    every fuzzer for seconds=20 each"
	@echo "make rtl-test    processing elements in SystemVerilog: co-simulation, netlists, mutants; make rtl-report: all of them, energies"
	@echo "make format  clang-format in place;  make tidy  clang-tidy;  make clean  remove build/ and out/"

setup:
	@tools/setup.sh --develop

configure: setup
	@tools/quiet.sh $(build_dir)-configure.log cmake --preset $(preset)

build: configure
	cmake --build --preset $(preset)

# Only what the demo runs is installed and built; `make test` adds the rest.
demo:
	@tools/demo.sh announce
	@tools/setup.sh
	@tools/quiet.sh build/release-configure.log cmake --preset release
	@cmake --build --preset release --target dnateq dnateq_openvino_extension
	@tools/demo.sh run

demo-language:
	@tools/demo_language.sh announce
	@tools/setup.sh requirements-language.txt requirements-language-data.txt
	@tools/quiet.sh build/release-configure.log cmake --preset release
	@cmake --build --preset release --target dnateq dnateq_openvino_extension
	@tools/demo_language.sh run

docs: build
	@tools/setup.sh requirements-docs.txt
	@.venv/bin/python tools/docs/check.py site
	@.venv/bin/python tools/docs/check.py links

test: build
	@tools/setup.sh --develop requirements-docs.txt requirements-test.txt requirements-language.txt requirements-language-data.txt
	ctest --preset $(preset) --no-tests=error --parallel $(shell nproc)

bench: demo
	@tools/bench.sh

fuzz: setup
	@tools/fuzz.sh $(or $(seconds),20)

rtl-test:
	@tools/setup.sh --rtl
	@python3 rtl/tools/flow.py test

rtl-report:
	@tools/setup.sh --rtl
	@python3 rtl/tools/flow.py report

format:
	clang-format -i $(sources)

format-check:
	clang-format --dry-run --Werror $(sources)

tidy: configure
	run-clang-tidy -quiet -extra-arg=-Wno-unknown-warning-option -p $(build_dir) "$(CURDIR)/(src|tests)/"

clean:
	rm -rf build out
