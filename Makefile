# Thin: each target is one script or one cmake preset that can be run by hand as well.
BUILD ?= build

.DEFAULT_GOAL := help
.PHONY: help test-web node test bench fuzz lint format asan tsan memcheck coverage build packages test-packages image release demo-upgrade qemu test-os dependencies clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

dependencies:
	@scripts/install-dependencies build

build: dependencies ## build everything into build/
	@scripts/build $(BUILD)

node: dependencies ## run a whole node in a sandbox in the foreground (MACULA_ROOT, MACULA_NATS_PORT)
	@scripts/build $(BUILD) programs
	@MACULA_ROOT="$${MACULA_ROOT:-$(CURDIR)/run/node}" exec $(BUILD)/bin/maculaos node run

test: ## build and pass the tests
	@scripts/install-dependencies build test net pack image os
	@scripts/build $(BUILD)
	@ci/test $(BUILD)

bench: ## measure: calls, configuration, footprint, as ratios to floors of the same run
	@scripts/install-dependencies build test bench
	@scripts/build build-release release
	@test/bench/run build-release

fuzz: ## fuzz every parser for a while (FUZZ_SECONDS=30 each)
	@scripts/install-dependencies build test fuzz
	@ci/fuzz

lint: ## formatting, clang-tidy, cppcheck, shellcheck, include rules
	@scripts/install-dependencies build test lint
	@scripts/build $(BUILD)
	@ci/lint $(BUILD)

packages: ## Debian packages of the suite for this machine's release (SUITE=trixie: for that one) in build-packages/
	@scripts/install-dependencies build pack
	@packaging/build $(if $(SUITE),--suite $(SUITE))

test-packages: ## test the packages: contents, lintian, a node that runs from them on a plain Debian 12 and 13 (as root)
	@scripts/install-dependencies build pack
	@test/packaging/test_packages.py

format: ## format the sources in place
	@scripts/install-dependencies lint
	@ci/format --in-place

asan: ## the tests under AddressSanitizer and UBSan
	@scripts/install-dependencies build test fuzz
	@ci/asan

tsan: ## the tests under ThreadSanitizer
	@scripts/install-dependencies build test fuzz
	@ci/tsan

memcheck: ## the unit tests under valgrind (slow)
	@scripts/install-dependencies build test memcheck
	@ci/memcheck

coverage: ## line coverage of the tests
	@scripts/install-dependencies build test fuzz
	@ci/coverage

image: ## the bootable images, in build-image/ (IMAGE_COMPRESSION=gzip for tests, EXTRAS=DIR, as root)
	@scripts/install-dependencies build pack image
	@images/build

release: ## a signed release of the image's slot in build-image/release (RELEASE_KEY=…, see images/release)
	@scripts/install-dependencies build image
	@scripts/build $(BUILD) programs
	@images/release

demo-upgrade: ## show an upgrade, a refusal and a return on a node in a sandbox
	@scripts/install-dependencies build test
	@scripts/build $(BUILD) programs
	@MACULA_BIN_DIR="$(CURDIR)/$(BUILD)/bin" python3 test/release/demo_upgrade.py

test-os: LANES ?= $(shell nproc)
test-os: ## test the image in QEMU, on one in test compression (as root; takes long; LANES=N machines at once)
	@scripts/install-dependencies build test pack image os
	@scripts/build $(BUILD) programs
	@MACULA_BIN_DIR="$(CURDIR)/$(BUILD)/bin" test/os/run --lanes $(LANES)

qemu: ## boot the image in QEMU (QEMU_MEDIUM=disk|iso, QEMU_FIRMWARE=bios|uefi, QEMU_MEMORY)
	@scripts/install-dependencies os
	@images/qemu

test-web: ## the page of the first boot in a real browser (Chromium from Debian, Playwright and axe-core by npm)
	@scripts/install-dependencies build web
	@scripts/build $(BUILD) programs
	@MACULA_BUILD_DIR=$(CURDIR)/$(BUILD) MACULA_BIN_DIR=$(CURDIR)/$(BUILD)/bin test/web/web.py

clean: ## remove what was built (the sandbox in run/ stays)
	rm -rf build build-*
