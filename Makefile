# Every verb is a few lines over CMake, ctest and the scripts in deploy/ and tests/.
PRESET ?= release
PREFIX ?= $(HOME)/.local
JOBS ?= $(shell nproc)
CUDA ?= 1
BUILD := build/$(PRESET)
.DEFAULT_GOAL := help
.PHONY: help deps build programs install images quickstart test test-cluster test-e2e unit asan sim crash parity bench bench-gpu bench-cluster fmt fmt-check lint clean

help: ## show the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what the build needs (Debian 12; says what and why)
	@bash deploy/setup/deps.sh

$(BUILD)/build.ninja: CMakePresets.json CMakeLists.txt
	@cmake --preset $(PRESET) -Wno-dev > $(BUILD).configure.log 2>&1 || (cat $(BUILD).configure.log; exit 1)

build: ## configure and build (PRESET=release|dev|asan|tsan)
	@mkdir -p build
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS)

programs: ## configure and build kairo, kairo-tune and kairo-serve without the tests
	@mkdir -p build
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS) --target kairo kairo-tune kairo-serve

install: programs ## kairo (kubectl kairo too), kairo-tune and kairo-serve into PREFIX/bin (~/.local/bin)
	@install -d $(DESTDIR)$(PREFIX)/bin
	@install $(addprefix $(BUILD)/,kairo kairo-tune kairo-serve) $(DESTDIR)$(PREFIX)/bin
	@ln -sf kairo $(DESTDIR)$(PREFIX)/bin/kubectl-kairo
	@install -d $(DESTDIR)$(PREFIX)/lib/kairo
	@install $(BUILD)/libkairo_cuda.so $(DESTDIR)$(PREFIX)/lib/kairo
	@echo "installed in $(DESTDIR)$(PREFIX)/bin"

images: programs ## kairo's container images as an OCI layout in build/images (PUSH=registry/prefix pushes them, CA=pem: trusted too, CUDA=: none for GPUs)
	@$(if $(CUDA),bash deploy/setup/cuda.sh)
	@python3 deploy/images/build.py $(BUILD) build/images $(if $(CUDA),--cuda) $(if $(CA),--ca $(CA)) $(if $(PUSH),--push $(PUSH))

quickstart: deps programs ## the whole story: tune a real model, push the adapter, serve it
	@bash deploy/setup/model.sh $(BUILD)/kairo-tune
	@bash examples/quickstart/run.sh $(BUILD)

test: deps build asan ## all tests: unit, contract, simulation, crash, parity, sanitizers
	@bash deploy/setup/kube.sh all || [ $$? = 77 ]
	@bash deploy/setup/containers.sh || [ $$? = 77 ]
	@bash deploy/setup/model.sh $(BUILD)/kairo-tune
	@bash deploy/setup/nats.sh || [ $$? = 77 ]
	@bash tests/run.sh $(BUILD) build/asan

test-cluster: build ## kairo on a real control plane: API server, controllers, scheduler, Karpenter
	@bash deploy/setup/kube.sh cluster || [ $$? = 77 ]
	@bash deploy/setup/nats.sh || [ $$? = 77 ]
	@bash tests/run.sh $(BUILD) cluster

test-e2e: build ## kairo on a real Kubernetes with a real node: installed by helm, a tuning in a pod (root)
	@bash deploy/setup/kube.sh node || [ $$? = 77 ]
	@bash deploy/setup/containers.sh || [ $$? = 77 ]
	@bash deploy/setup/nats.sh || [ $$? = 77 ]
	@bash deploy/setup/model.sh $(BUILD)/kairo-tune
	@bash tests/run.sh $(BUILD) kubernetes

asan: ## build the unit tests with address and undefined-behaviour checks
	@mkdir -p build
	@cmake --preset asan -Wno-dev > build/asan.configure.log 2>&1 || (cat build/asan.configure.log; exit 1)
	@cmake --build build/asan -j $(JOBS)

sim: build ## whole-system simulation (SEED=n replays one, RUNS=n)
	@$(BUILD)/tests/sim/test_sim

crash: build ## kill -9 of random processes during real runs (ROUNDS=n)
	@bash tests/crash/run.sh $(BUILD) $${ROUNDS:-20}

parity: build ## make the golden files anew with transformers+peft and compare
	@bash tests/parity/run.sh $(BUILD)

bench: build ## speed and memory, against peers in the same run
	@bash tests/bench/run.sh $(BUILD)

bench-gpu: programs ## kairo on an NVIDIA GPU, beside peft: right first, then fast; needs a python3 with torch 2.11, transformers, peft
	@cmake --build $(BUILD) -j $(JOBS) --target train_bench test_gpu_cuda test_gpu_engine test_gpu_families
	@bash tests/bench/gpu/pack.sh $(BUILD) build/bench-gpu
	@python3 build/bench-gpu/bench.py $(BENCH_GPU)

bench-cluster: build ## kairo on a real control plane, beside KAITO's figures: latency, calls, memory, takeover
	@bash deploy/setup/kube.sh cluster || [ $$? = 77 ]
	@bash deploy/setup/nats.sh || [ $$? = 77 ]
	@bash tests/bench/cluster.sh $(BUILD)

fmt: ## clang-format in place
	@git ls-files '*.cpp' '*.h' '*.cu' | xargs clang-format-14 -i

fmt-check:
	@git ls-files '*.cpp' '*.h' '*.cu' | xargs clang-format-14 --dry-run -Werror

lint: ## clang-tidy over what changed since main (ALL=1: everything)
	@cmake --preset dev -Wno-dev > /dev/null && cmake --build build/dev --target kairo_wire_files
	@bash tests/lint.sh build/dev

clean: ## remove build/
	@rm -rf build
