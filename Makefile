# Two commands: `make run` and `make test`. Both first make .venv and install the project into it, Rust included.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUST := $(shell find rust -name target -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print 2>/dev/null)
CARGO_FLAGS := --manifest-path rust/Cargo.toml --workspace
RUN := $(BIN)/snakemake --profile cluster/local

# where they can run, the tests of the profile `slurm` do; SLURM=1 runs them in any case, SLURM=0 in none
SLURM ?= $(shell [ "$$(id -u)" = 0 ] && PATH="$$PATH:/usr/sbin" command -v slurmctld >/dev/null && echo 1 || echo 0)
PYTEST := --numprocesses auto --dist loadfile $(if $(filter 0,$(SLURM)),-m 'not slurm')

# the first Python that is new enough and can make virtual environments
FIND_PYTHON := for python in $${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; done

.PHONY: help run test test-train lint format bench profiles install require clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: install  ## run the whole benchmark on this machine and show where its report is
	@mkdir -p .snakemake; touch .snakemake/started; \
	$(RUN) all; \
	if [ ! results/report/leaderboard.json -nt .snakemake/started ]; then \
		$(BIN)/python -m envsim_core show-leaderboard; \
		echo "Nothing to do: every result is up to date."; \
	fi

test: install lint  ## run all checks and tests but those that train models
	cargo test --quiet $(CARGO_FLAGS) --locked
	@[ $(SLURM) != 0 ] || echo 'without the tests of the profile slurm: they need root and slurm-wlm (cluster/README.md)'
	$(BIN)/python -m pytest $(PYTEST)

test-train: install  ## install what training needs (about 2.5 GB) and run the whole loop in small, without a GPU
	$(BIN)/python -m pytest tests/train --durations=0

lint: install  ## check formats, types, imports and the workflow, changing nothing
	cargo fmt --manifest-path rust/Cargo.toml --all --check
	cargo clippy --quiet $(CARGO_FLAGS) --all-targets --locked -- -D warnings
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest envsim_core._core
	$(BIN)/lint-imports --no-logo
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

format: install  ## format Rust, Python and Snakemake files, and write configs/schema.json
	cargo fmt --manifest-path rust/Cargo.toml --all
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .
	$(BIN)/snakefmt Snakefile rules
	$(BIN)/python -m envsim_core write-schema

bench: install  ## measure the core beside what else could do its work, in one run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[workflow,dev,bench]'
	$(BIN)/python tests/bench.py
	$(BIN)/python tests/bench_executor.py

profiles:  ## let `snakemake --profile slurm` (local, gpu) work by name
	@folder="$${XDG_CONFIG_HOME:-$$HOME/.config}/snakemake"; mkdir -p "$$folder"; \
	for profile in local slurm gpu; do \
		link="$$folder/$$profile"; target="$(CURDIR)/cluster/$$profile"; \
		if [ "$$(readlink -f "$$link")" = "$$(readlink -f "$$target")" ]; then echo "there already: $$link"; \
		elif [ -e "$$link" ] || [ -L "$$link" ]; then \
			echo "left alone: $$link is not ours; move it away, or use --profile cluster/$$profile" >&2; \
		else ln -s "$$target" "$$link"; echo "linked: $$link -> $$target"; fi; \
	done

install: $(STAMP)

# maturin builds the extension into envsim_core/, so its sources and the dependencies are what a rebuild depends on
$(STAMP): pyproject.toml $(RUST) | require
	@$(FIND_PYTHON); \
	if [ ! -x $(BIN)/python ] || ! $(BIN)/python -c '' 2>/dev/null; then \
		echo "making $(VENV) with $$($$python --version)"; "$$python" -m venv --clear $(VENV); \
	fi
	@echo "installing envsim-core and its tools into $(VENV) (the first time takes a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=24'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[workflow,dev]'
	@# source bfcl and its tests read this package as text; its dependencies weigh gigabytes and are not needed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps bfcl-eval==2026.3.23
	@touch $@

require:
	@$(FIND_PYTHON); \
	if [ -z "$$python" ]; then \
		echo "error: Python 3.11 or newer is needed (Debian 12: apt-get install python3 python3-venv)" >&2; exit 1; fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "error: $$python cannot make virtual environments (Debian: apt-get install python3-venv)" >&2; exit 1; fi; \
	if ! version="$$(cargo --version 2>/dev/null)"; then \
		echo "error: cargo 1.89 or newer is needed to build the scorer; install Rust from https://rustup.rs" >&2; exit 1; fi; \
	version="$${version#cargo }"; version="$${version%% *}"; \
	if [ "$$(printf '1.89\n%s\n' "$$version" | sort -V | head -n 1)" != 1.89 ]; then \
		echo "error: cargo $$version is too old, 1.89 or newer is needed (rustup update, or https://rustup.rs)" >&2; exit 1; fi

clean:  ## remove results and build products (.venv stays)
	rm -rf results .snakemake rust/target .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
