# Every target does its own set-up. Nothing needs to be installed but Python 3.11+, make and a package index that pip knows.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-quick lint nightly bench mutants docs lock format clean

# An empty environment has no PATH, and without one Python cannot tell where it is itself.
ifeq ($(PATH),)
export PATH := /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
endif

PYTHON := .venv/bin/python
BIN := .venv/bin
READY := .venv/.ready-test
BENCH_READY := .venv/.ready-bench
WORKERS := 3
# What a change usually breaks, and none of it starts many processes.
QUICK := tests/model tests/graph tests/scheduler tests/formats tests/record tests/recordings tests/condition tests/report tests/study
COMPILE := uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(READY)  ## .venv with the command and everything that tests need

$(READY): requirements/test.lock requirements/debian.txt pyproject.toml tools/setup.sh
	@sh tools/setup.sh test

$(BENCH_READY): requirements/bench.lock tools/setup.sh $(READY)
	@sh tools/setup.sh bench

demo: $(READY)  ## one small project's pipeline, one by one and then in parallel: which is better here?
	@$(PYTHON) -m compileall -q src
	@$(PYTHON) examples/ci/demo.py

test: lint  ## all checks and all tests
	@$(PYTHON) -m compileall -q src
	$(BIN)/pytest --quiet --numprocesses $(WORKERS) --dist worksteal

test-quick: $(READY)  ## what a change usually breaks, within a minute: the rooms without a command or an engine
	@$(PYTHON) -m compileall -q src
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet --numprocesses 2 --dist worksteal $(QUICK)

lint: $(READY)  ## style, format, types, imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## puts the code in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

nightly: $(READY)  ## the tests that are too long for every commit
	$(BIN)/pytest --quiet --numprocesses $(WORKERS) --dist worksteal -m nightly

bench: $(BENCH_READY)  ## figures against the peers, side by side; BENCH=--quick for a look
	@$(PYTHON) -m compileall -q src
	$(PYTHON) benchmarks/overhead.py $(BENCH)
	$(PYTHON) benchmarks/machine.py $(BENCH)
	$(PYTHON) benchmarks/govern.py $(BENCH)
	$(PYTHON) benchmarks/record.py $(BENCH)
	$(PYTHON) benchmarks/experiment.py $(BENCH)
	$(PYTHON) benchmarks/rules.py $(BENCH)
	$(PYTHON) benchmarks/scale.py $(BENCH)
	$(PYTHON) benchmarks/prediction.py $(BENCH)
	$(PYTHON) benchmarks/streaming.py $(BENCH)

mutants: $(BENCH_READY)  ## breaks the scheduler on purpose: which tests notice?
	$(PYTHON) tools/mutants.py

docs: $(READY)  ## writes the generated pages anew
	$(PYTHON) tools/docs.py

lock:  ## newest versions of pyproject.toml's groups into requirements/*.lock (needs uv)
	$(COMPILE) --group test --extra otel --extra parquet --output-file requirements/test.lock
	$(COMPILE) --group bench --constraint requirements/test.lock --output-file requirements/bench.lock

clean:  ## removes everything that make made
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis .stagebook mutants build dist examples/*/.work
	find src tests examples benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
