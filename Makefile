# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
QUIET := --disable-pip-version-check --quiet
PIP := $(BIN)/python -m pip $(QUIET)
CHECKED := probes runner tui trainwatch/cli trainwatch/__init__.py trainwatch/__main__.py tests examples benchmarks docs

# torch goes first and by its exact version: asked for by a range, pip would
# take the newest build with gigabytes of CUDA libraries.
TORCH := $(shell grep '^torch==' constraints.txt)

# Older training stacks: each file of tests/matrix has a virtual environment.
ROWS := .venv-matrix
MATRIX := $(patsubst tests/matrix/%.txt,matrix-%,$(wildcard tests/matrix/*.txt))
MATRIX_TESTS ?= tests/probes tests/examples

# `make test` runs the oldest one, and of the probes' tests those that meet it.
OLD := matrix-4.46
OLD_TESTS := $(shell grep -liE 'transformers|trl' tests/probes/test_*.py)

STACKED := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

# Most tests wait for one core, or sleep. Those that share runs stay in one process.
JOBS ?= 3
SPREAD := -n $(JOBS) --dist loadgroup

.PHONY: demo test test-matrix newest $(MATRIX) check lint types layers unit e2e snapshots pictures verdicts faults clean
.PRECIOUS: $(ROWS)/%/.installed

demo: $(VENV)/.installed
	@$(BIN)/trainwatch demo

test: $(VENV)/.develop
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory $(OLD) MATRIX_TESTS='$(OLD_TESTS)'

check: lint types layers unit e2e

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

layers:
	$(BIN)/lint-imports

# Tests that start no training stack, then those that do.
unit:
	$(BIN)/python -m pytest -q $(SPREAD) -m "not e2e and not real"

e2e:
	$(STACKED) $(BIN)/python -m pytest -q $(SPREAD) -m "e2e or real" \
		--ignore tests/e2e/stuck
	$(STACKED) $(BIN)/python -m pytest -q tests/e2e/stuck

# The probes and the examples on each training stack, the newest one last.
test-matrix: $(MATRIX) newest

$(MATRIX): matrix-%: $(ROWS)/%/.installed
	$(STACKED) $(ROWS)/$*/bin/python -m pytest -q $(MATRIX_TESTS)

newest: $(VENV)/.develop
	$(STACKED) $(BIN)/python -m pytest -q $(MATRIX_TESTS)

snapshots:
	$(BIN)/python -m pytest -q tests/tui --snapshot-update

pictures:
	$(BIN)/python docs/pictures.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "trainwatch needs Python 3.10 or later: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install $(TORCH)
	$(PIP) install -c constraints.txt -e '.[train]'
	@touch $@

$(VENV)/.develop: $(VENV)/.installed
	$(PIP) install -c constraints.txt --group dev
	@touch $@

$(ROWS)/%/.installed: tests/matrix/%.txt pyproject.toml
	$(PYTHON) -m venv --clear $(ROWS)/$*
	$(ROWS)/$*/bin/python -m pip $(QUIET) install $$(grep '^torch==' $<)
	$(ROWS)/$*/bin/python -m pip $(QUIET) install -c $< -e '.[train]' pytest pytest-asyncio
	@touch $@

# docs/verdicts.md, with each verdict held for a minute.
verdicts:
	TRAINWATCH_VERDICTS=docs/verdicts.md TRAINWATCH_STUCK_HOLD=60 $(STACKED) \
		$(BIN)/python -m pytest -q tests/e2e/stuck

# docs/faults.md, with long stops and big floods.
faults:
	TRAINWATCH_FAULTS=docs/faults.md $(STACKED) \
		$(BIN)/python -m pytest -q tests/supervision/test_faults.py

clean:
	rm -rf $(VENV) $(ROWS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
