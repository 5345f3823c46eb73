# halfmax: `make help` says what there is. Everything happens in .venv; nothing outside is touched
# but the browser that the tests need, which apt installs where it is missing.
PYTHON ?= python3
VENV := .venv
# allotropy pins pandas below 3, so the tests that need it have an environment of their own.
VENDOR := .venv-vendor
# The peers of the benchmarks pin pandas in ways that exclude each other: an environment for each.
BENCH := .venv-bench
CURVES ?= 1000000
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
VENDOR_BIN := $(VENDOR)/Scripts
else
BIN := $(VENV)/bin
VENDOR_BIN := $(VENDOR)/bin
endif
DEMO ?= halfmax-demo
TESTS ?=

.PHONY: help demo test check bench docs format clean browser
.DEFAULT_GOAL := help

help:  ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## set up, analyse the example study, say where the report is
	@$(BIN)/halfmax demo $(DEMO)

test: $(VENV)/.dev $(VENDOR)/.made browser  ## set up, run all tests (slow and browser ones included)
	$(BIN)/python -m pytest -n auto --dist loadscope -m "not vendor" $(TESTS)
	$(VENDOR_BIN)/python -m pytest -m vendor tests/readers

check: $(VENV)/.dev  ## style, types, who imports whom, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html

bench: $(VENV)/.dev $(BENCH)/.made  ## speed beside peers: curves, a recording of calcium; then CURVES=1000000 curves
	$(BIN)/python benchmarks/fit_curves.py
	$(BIN)/python benchmarks/movie.py
	$(BIN)/python benchmarks/million.py --curves $(CURVES)

docs: $(VENV)/.dev  ## build the documentation
	$(BIN)/sphinx-build -W -b html docs docs/_build/html
	@echo "Documentation: $(CURDIR)/docs/_build/html/index.html"

format: $(VENV)/.dev  ## put the code into its usual form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and everything that was built
	rm -rf $(VENV) $(VENDOR) $(BENCH) docs/_build .mypy_cache .pytest_cache .ruff_cache

browser:
	@for name in chromium chromium-browser google-chrome msedge; do command -v $$name >/dev/null 2>&1 && exit 0; done; \
	if command -v apt-get >/dev/null 2>&1; then \
	  SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$SUDO apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$SUDO apt-get install -y -qq chromium >/dev/null; \
	else echo "No Chromium or Chrome found: install one for the browser tests."; fi

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV) || { command -v apt-get >/dev/null 2>&1 && SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo) && \
	  $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); }
	$(BIN)/python -m pip install -qq --upgrade pip
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	@echo "Setting up; this takes a minute the first time."
	$(BIN)/python -m pip install -qq --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install -qq --editable ".[test,check,docs]"
	@touch $@ $(VENV)/.demo

$(VENDOR)/.made: $(VENV)/.made pyproject.toml
	$(PYTHON) -m venv $(VENDOR)
	$(VENDOR_BIN)/python -m pip install -qq --upgrade pip
	$(VENDOR_BIN)/python -m pip install -qq --editable ".[test,vendor]"
	@touch $@

$(BENCH)/.made: benchmarks/peers.txt $(VENV)/.made
	@mkdir -p $(BENCH) && echo "*" > $(BENCH)/.gitignore
	@while read -r peer with; do \
	  place="$(BENCH)/$${peer%%==*}"; \
	  $(PYTHON) -m venv "$$place" && \
	  "$$place/$(notdir $(BIN))/python" -m pip install -qq "$$peer" $$with </dev/null || exit 1; \
	done < benchmarks/peers.txt
	@touch $@
