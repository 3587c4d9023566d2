# lbctl: `make demo` and `make test` are all a newcomer needs; `make check` is the fast loop before every commit.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Every program in a virtual environment names its directory: one that was moved or copied is made anew.
MADE_IN := $(shell cat $(STAMP) 2>/dev/null)
ifneq ($(or $(MADE_IN),$(CURDIR)),$(CURDIR))
MOVED := yes
.PHONY: $(STAMP)
endif
# `make test` as root on Debian or Ubuntu installs what is missing of HAProxy, Chromium and two shells; SYSTEM=no leaves the system alone.
SYSTEM ?= yes
ARGS ?=
# The tests of real load balancers wait more than they compute: five at a time on two cores (WORKERS=0: one by one).
WORKERS ?= 5
PYTEST := $(BIN)/pytest
# Where the surroundings forbid Python its caches, each of the hundreds of processes of a test run compiles all anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help venv demo check test test-long bench bench-judge soak mutants docs system clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "lbctl needs Python >= 3.11; set PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	@echo "installing lbctl and its tools into $(VENV)" >&2
	@$(PYTHON) -m venv $(if $(MOVED),--clear) $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' >&2
	@echo '$(CURDIR)' > $@

venv: $(STAMP) ## the development environment in .venv

demo: $(STAMP) ## two services released as one, and a rollback, on a real load balancer, no root (ARGS=--json)
	@$(BIN)/lbctl demo $(ARGS)

check: $(STAMP) ## the fast loop: lint, types, contracts, unit, property and scenario tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -m 'not long' -n $(shell nproc) tests/unit tests/property tests/scenarios tests/house

system:
	@bash deploy/ci/system.sh $(SYSTEM)

test: $(STAMP) system ## everything, with real load balancers, within 10 minutes
	$(BIN)/ruff check .
	@# The tests are compiled once, while the types are checked, and not by every worker for itself.
	@$(PYTEST) --collect-only --quiet tests >/dev/null & $(BIN)/mypy && wait
	$(BIN)/lint-imports
	$(PYTEST) -m 'not long' -n $(WORKERS) --dist loadgroup tests

test-long: $(STAMP) system ## the big counts; choose with ARGS='-k words'
	$(PYTEST) -m long --timeout 3600 tests $(ARGS)

bench: $(STAMP) system ## figures against their goals, 12 minutes (ARGS=memory: that one; make docs shows them)
	$(BIN)/python -m tests.bench $(ARGS)

bench-judge: $(STAMP) ## the judge against its promises and other tools' rules, 15 minutes (ARGS=--write: the pages too)
	$(BIN)/python -m tests.bench.judge $(ARGS)

soak: $(STAMP) system ## a release every 30 s, each with a trouble, an hour (ARGS='--minutes 10')
	$(BIN)/python -m tests.soak $(ARGS)

mutants: $(STAMP) ## whether quick tests notice slips of the pen in the decision core (ARGS='--each 0': all, hours)
	$(BIN)/python -m tests.mutation $(ARGS)

docs: $(STAMP) ## the generated reference pages
	$(BIN)/python -m lbctl.cli.reference > docs/reference/cli.md
	$(BIN)/python -m lbctl.config.reference > docs/reference/config.md
	$(BIN)/python docs/generate.py
	$(BIN)/python -m tests.bench.page > docs/reference/promises.md

clean: ## remove what was built
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
