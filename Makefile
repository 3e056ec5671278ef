# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CHECKED := probes runner tui trainwatch/cli trainwatch/__init__.py trainwatch/__main__.py tests examples benchmarks docs

# torch goes first and by its exact version: asked for by a range, pip would
# take the newest build with gigabytes of CUDA libraries.
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: demo test check lint types layers unit e2e snapshots pictures clean

demo: $(VENV)/.installed
	@$(BIN)/trainwatch demo

test: $(VENV)/.develop
	@$(MAKE) --no-print-directory check

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
	$(BIN)/python -m pytest -q -m "not e2e and not real"

e2e:
	OMP_NUM_THREADS=2 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -q -m "e2e or real"

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

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
