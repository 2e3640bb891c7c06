# ehm: thin names over CMake. `make help` lists them.
BUILD ?= build/release
JOBS  ?= $(shell nproc 2>/dev/null || echo 2)
PRESET_RELEASE = cmake --preset release $(if $(DEVELOPER),-DEHM_DEVELOPER=ON) $(CMAKE_ARGS) >build/configure.log || { cat build/configure.log; exit 1; }

.DEFAULT_GOAL := all
.PHONY: all help setup demo test test-slow test-asan test-ubsan test-tsan test-mutant test-peers test-python test-gpu test-report package test-package minimal clang bench install lint clean shape golden

all: ## build release to build/ehm
	@mkdir -p build
	@command -v cmake >/dev/null || { echo "cmake is missing: run 'make setup' (installs the Debian packages that are missing)"; exit 1; }
	@$(PRESET_RELEASE)
	@cmake --build $(BUILD) -j $(JOBS)
	@ln -sf release/ehm build/ehm

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t16

setup: ## install the Debian packages that are missing
	@tools/setup.sh

demo: ## pre-train a small model on the built-in pictures (DATA=folder: on yours) and compare its features; at most 6 minutes
	@tools/demo.sh "$(DATA)"

test: setup all ## build and run the tests; T=suite or T=suite::case runs one; SEED=n replays a property failure
ifdef T
	@$(if $(SEED),SEED=$(SEED)) $(BUILD)/tests/ehm_tests $(T)
else
	@cd $(BUILD) && ctest --output-on-failure -j $(JOBS) --timeout 540
endif

test-slow: setup all ## the tests that take long (about 20 minutes): ten kills, near-chance, learning
	@EHM_TEST_SLOW=1 EHM_BIN=$(CURDIR)/$(BUILD) $(BUILD)/tests/ehm_tests $(T)

test-asan test-ubsan test-tsan: test-%: setup ## sanitizer builds and their tests (each about 10 minutes)
	@mkdir -p build && cmake --preset $* >build/configure-$*.log || { cat build/configure-$*.log; exit 1; }
	@cmake --build build/$* -j $(JOBS)
	@tools/test_sanitized.sh $* $(T)

test-mutant: setup ## sabotage one line at a time; the named test must go red (about 5 minutes)
	@tests/mutant/run.sh $(M)

test-peers: all ## load what a run writes in timm and an independent PyTorch MAE (Python from PyPI into build/peers; about 10 minutes)
	@tools/test_peers.sh

test-python: all ## pip install ./python in a fresh environment; against SciPy and the program; the PyTorch loop (about 5 minutes; PEERS_PYTHON= reuses its PyTorch)
	@tools/test_python.sh

test-gpu: ## the CUDA back end on this machine's GPU: every op, training beside the processor's, resume (needs nvcc and a GPU; about 6 minutes)
	@tools/gpu_check build && tools/gpu_check test

test-report: all ## reports in headless Chromium: console, contrast, phones, paper, --watch (about 4 minutes; Chromium from Debian where it is missing)
	@tools/test_report.sh

package: setup all ## Debian packages in build/package: ehm_VERSION_amd64.deb and libehm-dev_VERSION_amd64.deb
	@tools/setup.sh dpkg-dev file
	@mkdir -p build/package && rm -f build/package/*.deb
	@cd $(BUILD) && cpack -B $(CURDIR)/build/package >$(CURDIR)/build/package/cpack.log || { cat $(CURDIR)/build/package/cpack.log; exit 1; }
	@rm -rf build/package/_CPack_Packages && ls build/package/*.deb

test-package: package ## install the package on a bare Debian 12 and work there (as root; 2 to 5 minutes, then 1; EHM_PACKAGE_DEV=1: the library too)
	@tools/test_package.sh || { code=$$?; [ $$code = 77 ] || exit $$code; }

minimal clang debug: setup ## other presets
	@cmake --preset $@ && cmake --build build/$@ -j $(JOBS)

bench: setup all ## kernels against the measured peak of this processor
	@cmake --build $(BUILD) -j $(JOBS) --target benches
	@tools/bench.sh $(BUILD)

install: all ## binary, library, headers, pkg-config, CMake package, man pages, completion (PREFIX=, DESTDIR=)
	@cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

lint: ## cppcheck and clang-tidy where they are installed; formatting of changed lines is advice only
	@tools/lint.sh

shape: ## the longest functions and files
	@tools/shape.sh

clean: ## remove build/
	@rm -rf build
