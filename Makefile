# `make demo` and `make test` need Python 3.11 to 3.13 and nothing else: both work in .venv, an environment of their own.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

demo: .venv/installed  ## RNN, LSTM and GRU side by side: train them, print the table, draw the figures
	$(BIN)/rnnbench +experiment=quickstart output=results/quickstart
	$(BIN)/rnnbench show results/quickstart

test: lint  ## style, types, import rules and the test suite
	$(BIN)/pytest -n 2

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The stamp is newer than what it was made from as long as there is nothing new to install.
.venv/installed: pyproject.toml requirements.lock
	@echo "Installing the pinned packages into .venv: a minute or two, once"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: .venv/installed  ## pin the newest versions that pyproject.toml allows, without naming where they come from
	$(BIN)/uv pip compile --quiet --universal --extra test --extra dev --upgrade --no-emit-index-url --no-header pyproject.toml --output-file requirements.lock

clean:  ## remove the environment and caches; results stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
