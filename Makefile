# Posthouse: everything a person types. `make help` lists it.
BUILD   ?= build
MESON   ?= meson
PREFIX  ?= /usr/local
SHELL   := /bin/bash

.PHONY: help demo run test check setup build install lint asan tsan fuzz crash sim bench coverage clean
.DEFAULT_GOAL := build

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install what is missing (Debian packages; asks for nothing)
	@tools/setup

build: $(BUILD)/build.ninja ## the program, at build/posthouse
	@ninja -C $(BUILD) --quiet
$(BUILD)/build.ninja:
	@$(MESON) setup $(BUILD) > $(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/setup.log

demo: setup build ## see the main job done: a faulty relay, a kill -9, a server changed while mail flows, and the accounting
	@tools/demo $(BUILD)/posthouse
	@tools/demo_changeover $(BUILD)/posthouse

run: setup build ## the service in the foreground on ./posthouse-data
	@exec $(BUILD)/posthouse serve

test: setup build ## every test; the last line counts them
	@tools/run-tests $(BUILD)

check: build ## unit tests and the lint of what changed, in under a minute; T=name for one test
	@tools/check-style --changed
	@$(MESON) test -C $(BUILD) --no-rebuild -q --print-errorlogs $(if $(T),$(T),--no-suite whole --no-suite sim)

lint: ## both compilers without a warning, clang-tidy, layers, sizes, names, format, spelling
	@tools/lint

asan: ## every test under the address and undefined-behaviour sanitizers
	@tools/run-sanitized address,undefined build-asan

tsan: ## every test under the thread sanitizer
	@tools/run-sanitized thread build-tsan

fuzz: ## every fuzz target for FUZZ_SECONDS (60) each
	@tools/run-fuzzers $${FUZZ_SECONDS:-60}

crash: build ## kill -9 under load, KILLS (30) times; nothing accepted may be missing
	@python3 tests/crash/kill_loop.py --program $(BUILD)/posthouse --kills $${KILLS:-30}

sim: build ## a year of faulty mail in virtual time, SEEDS (10000) times
	@$(BUILD)/tests/sim/sim --seeds $${SEEDS:-10000}

bench: build ## Posthouse and Postfix side by side: figures and ratios
	@python3 bench/bench.py --program $(BUILD)/posthouse

coverage: ## line coverage of the unit tests
	@tools/coverage

install: build ## program, sendmail and mailq faces, systemd unit, commented configuration
	@DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) packaging/install $(BUILD)

clean: ## remove what was built
	@rm -rf $(BUILD) build-*
