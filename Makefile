# Every target does its own set-up from requirements.lock; a second call starts in seconds.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

EXPERIMENTS := errors granularity overhead fallback strategies
MINUTES ?= 10

# What is fitted here is small: threads of BLAS would only wait for each other on busy cores.
export OPENBLAS_NUM_THREADS ?= 1

# A package index that is slow for a minute is no reason to give up.
export PIP_DEFAULT_TIMEOUT ?= 60
export PIP_RETRIES ?= 10

.PHONY: setup run demo test browser lint lock bench accuracy chaos results clean
.DEFAULT_GOAL := help

help:  ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(STAMP)  ## Make the .venv from the lock file

run: $(STAMP)  ## Serve on http://127.0.0.1:8321
	$(BIN)/socast serve --open

demo: $(STAMP)  ## See it all happen on this machine (ONCE=1 exits after the table)
	$(BIN)/socast demo $(if $(ONCE),--once)

test: browser  ## Run the tests in parallel
	$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

browser: $(STAMP)  ## Install Chromium for the tests of the pages, where it is missing and may be installed
	@PYTHON=$(BIN)/python sh .ci/browser

lint: $(STAMP)  ## Linters, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## Performance table: ingest, predict, plan
	$(BIN)/python -m tests.bench $(ARGS)

accuracy: $(STAMP)  ## Accuracy table of all learners on all traces
	$(BIN)/python -m tests.accuracy $(ARGS)

chaos: $(STAMP)  ## Fifty kill -9 rounds under load on both databases
	$(BIN)/python -m pytest -n 0 tests/chaos --rounds 50 $(ARGS)

results: $(STAMP)  ## Make every experiment for MINUTES each (10) and renew docs/results with what they found
	@set -e; for name in $(EXPERIMENTS); do \
		$(BIN)/socast experiment $$name --minutes $(MINUTES) --out build/experiments/$$name > /dev/null; \
		mkdir -p docs/results/$$name; \
		cd build/experiments/$$name; cp page.md *.svg ../../../docs/results/$$name/; cd ../../..; \
	done

lock: $(STAMP)  ## Renew requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group dev --all-extras --output-file requirements.lock pyproject.toml

clean:  ## Remove everything that was built
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache
