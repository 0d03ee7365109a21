# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs.
PYTHON := .venv/bin/python
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help setup demo test check quick format types lint bench docs clean

help: ## Show what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## Make .venv with everything, and install system packages that are missing
	@scripts/setup.sh test

demo: ## The whole loop on a year of real flights, then how to look at it
	@scripts/setup.sh run
	@.venv/bin/everloop demo

test: setup ## Every test, real servers included
	@$(PYTHON) -m pytest -n 2 tests examples/flights/tests

check: setup lint types ## The inner loop: lint, types, import contracts, quick tests of what was changed
	@$(PYTHON) -m pytest -n 2 -m 'not slow' $$($(PYTHON) -m scripts.touched)

quick: setup lint types ## The same with all quick tests
	@$(PYTHON) -m pytest -n 2 -m 'not slow' tests

lint: ## Ruff and the import contracts
	@.venv/bin/ruff check src tests examples benchmarks
	@.venv/bin/ruff format --check --quiet src tests examples benchmarks
	@.venv/bin/lint-imports --no-logo 2>&1 | tail -4

types: ## Strict types
	@.venv/bin/mypy

format: ## Put the code in order
	@.venv/bin/ruff check --fix --quiet src tests examples benchmarks
	@.venv/bin/ruff format --quiet src tests examples benchmarks

bench: setup ## The benchmarks, side by side with the physical limit
	@$(PYTHON) -m benchmarks

docs: setup ## The generated reference: docs/reference/
	@$(PYTHON) -m everloop.sdk.stubs
	@$(PYTHON) -m scripts.reference

clean: ## Remove what can be made again
	rm -rf .venv .everloop .mypy_cache .ruff_cache .hypothesis dist
