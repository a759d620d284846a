# `make demo` and `make test` only need Python 3.11 to 3.13: they create their own environment in .venv.
PYTHON ?= python3
BIN := .venv/bin
SESSIONS ?= oldest newest
COMPILE = $(BIN)/uv pip compile --quiet --upgrade --no-emit-index-url --no-header

.DEFAULT_GOAL := help
.PHONY: help demo test test-versions lint lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

# Exit code 3 says that a run diverged, which is a result: the IRNN does so on the adding problem.
demo: .venv/installed  ## train RNN, IRNN, LSTM and GRU, print tables and completed sentences, draw the figures
	$(BIN)/rnnbench +experiment=quickstart output=results/quickstart || [ $$? -eq 3 ]
	$(BIN)/rnnbench show results/quickstart

test: lint  ## style, types, import rules and the test suite
	$(BIN)/pytest -n 2

test-versions: .venv/installed  ## the core suites on the oldest and the newest packages (needs Python 3.11 and 3.13)
	$(BIN)/nox --sessions $(SESSIONS)

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The stamp is newer than its prerequisites as long as there is nothing new to install.
.venv/installed: pyproject.toml requirements.lock
	@echo "Installing the pinned packages into .venv: a minute or two, once"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The oldest packages are the lowest versions that pyproject.toml names, with the newest versions of what these need.
lock: .venv/installed  ## pin the newest and the oldest package versions that pyproject.toml allows
	$(COMPILE) --universal --extra test --extra dev pyproject.toml --output-file requirements.lock
	$(COMPILE) --python-version 3.11 --resolution lowest-direct --extra test pyproject.toml --output-file requirements-oldest.lock

clean:  ## remove the environment and caches; results stay
	rm -rf .venv .nox .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
