# `make demo` and `make test` work on a fresh machine with Python 3.11+ and make; everything else follows from them.

VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := .ci/constraints.txt
PIP := $(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS)
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
DEMO := .demo
KILL_ROUNDS := 200
SAVES := 1000
TRANSACTIONS := 36000 # in each of three ways
SEEDS := 5000
FUZZED := 100000

.DEFAULT_GOAL := help
.PHONY: help demo test check bench format kill-rounds nightly clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or later is needed" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(PIP) --editable '.[fast]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) --group dev
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) --group bench
	@touch $@

demo: $(VENV)/.installed ## set up, scaffold a project in .demo and serve it
	@test -d $(DEMO) || $(BIN)/pyconvex init $(DEMO) --template messages
	@cd $(DEMO) && { ../$(BIN)/pyconvex dev $(ARGS) || test $$? = 130; }

test: $(VENV)/.dev ## set up and pass every test
	$(BIN)/python -m pytest -n auto --dist loadgroup -q $(ARGS)

check: $(VENV)/.dev ## lint, types, layers
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/.bench ## print the benchmark table (ARGS="http reload" for some of them)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks $(ARGS)

kill-rounds: $(VENV)/.dev ## 50 rounds of each way to kill, 1,000 saves
	PYCONVEX_KILL_ROUNDS=50 PYCONVEX_SAVES=1000 $(BIN)/python -m pytest -q -m faults $(ARGS)

nightly: $(VENV)/.dev ## all fault tests at full length: about an hour
	PYCONVEX_KILL_ROUNDS=$(KILL_ROUNDS) PYCONVEX_SAVES=$(SAVES) PYCONVEX_TRANSACTIONS=$(TRANSACTIONS) \
		PYCONVEX_SEEDS=$(SEEDS) PYCONVEX_FUZZED=$(FUZZED) PYCONVEX_IDLE_SECONDS=70 PYCONVEX_SEED=$$(date +%j) \
		$(BIN)/python -m pytest -q -m faults $(ARGS)

format: $(VENV)/.dev ## format and fix what can be fixed
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

clean: ## remove what the other targets made
	rm -rf $(VENV) $(DEMO) dist build .pytest_cache .ruff_cache .hypothesis
