# Callward's house: `make run` and `make test` do all set-up on a fresh machine.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
export CARGO_TARGET_DIR ?= $(CURDIR)/rust/target
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help build run test lint bench torture fuzz format lock screenshots clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

build: .build/python .build/rust .build/web ## Build everything into .venv (callward and callward-media)

run: build ## Start Callward with its embedded defaults, demo data and a demo call
	@exec $(BIN)/callward up --demo

test: build .build/dev .build/test-packages .build/faults ## Run all tests (about 10 minutes on 2 cores)
	@scripts/run-tests

lint: build .build/dev ## Check style, types and the import rules: zero warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd rust && cargo fmt --check && cargo clippy --locked --all-targets --all-features -- -D warnings
	cd web && npm run lint

bench: build .build/dev .build/test-packages .build/load ## Measure the hot paths next to their peers
	@$(BIN)/callward bench all

torture: build .build/dev .build/faults ## Kill, cut and starve the journal for minutes; prints its figures
	@scripts/run-torture

fuzz: build .build/dev ## Feed parsers with mutated input for minutes
	@$(BIN)/python -m pytest -p no:cacheprovider tests -k "fuzz" --hypothesis-profile=long

screenshots: build .build/dev .build/test-packages ## Take the screenshots of docs/images again
	@$(BIN)/python scripts/take-screenshots

format: .build/dev ## Format Python and Rust
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format -q .
	cd rust && cargo fmt

lock: ## Make the lock files of Python anew
	@scripts/make-lock-files

clean: ## Remove what was built (not var/)
	rm -rf .build $(VENV) rust/target web/node_modules src/callward/portal/static

# What is needed before anything can be built; each missing thing is named with its remedy.
.build/tools:
	@scripts/check-tools $(PYTHON)
	@mkdir -p .build && touch $@

.build/venv: .build/tools
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@

.build/python: .build/venv requirements.lock
	@echo "installing Python packages ..."
	@$(BIN)/pip install -q --require-hashes -r requirements.lock
	@touch $@

RUST := $(shell find rust -name '*.rs' -not -path '*/target/*') rust/Cargo.lock $(wildcard rust/*/Cargo.toml) pyproject.toml
.build/rust: .build/python $(RUST) packaging/data/scripts/callward
	@echo "building the Rust program ..."
	@scripts/install-callward $(BIN)
	@touch $@

WEB := $(shell find web -type f -not -path '*/node_modules/*' 2>/dev/null)
.build/web: .build/tools $(WEB)
	@echo "building the portal ..."
	@cd web && npm ci --silent --no-audit --no-fund && npm run --silent build
	@touch $@

.build/dev: .build/python requirements-dev.lock
	@echo "installing development packages ..."
	@$(BIN)/pip install -q --require-hashes -r requirements-dev.lock
	@touch $@

.build/test-packages: scripts/install-test-packages
	@scripts/install-test-packages
	@mkdir -p .build && touch $@

.build/faults: .build/tools $(RUST)
	@echo "building the fault build (tests only) ..."
	@scripts/build-faults
	@touch $@

.build/load: .build/tools $(RUST)
	@echo "building the load generators (benchmarks only) ..."
	@scripts/build-load
	@touch $@
