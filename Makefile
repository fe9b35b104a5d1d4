# A fresh machine needs Python 3.11 or newer with venv, and make; everything else goes into .venv.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers
COMPILED := build/compiled
# The compiled package before the source, which would else be found in the working directory.
AS_COMPILED = PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(COMPILED):$(CURDIR)
OPTIONS :=
SOURCES := nbio model proofs tests docs/examples hatch_build.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-compiled compiled check verify verify-full code-mutants seeded soak peers bench clean emit

help: ## say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## make .venv with everything that tests and proofs need

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "nbio needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(READY) ## the bug, the refuted fix, the checked design, and a server that runs it
	@$(BIN)/python -m docs.examples.demo

test: $(READY) check ## every test
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

compiled: $(READY) $(COMPILED)/.made ## the package with its inner part compiled, in build/compiled (a C compiler, a minute)

$(COMPILED)/.made: hatch_build.py $(wildcard nbio/*.py nbio/testing/*.py)
	$(BIN)/python hatch_build.py $(COMPILED)
	@touch $@

test-compiled: compiled ## the server's tests, of the compiled package; what needs the source's functions is skipped
	$(AS_COMPILED) $(BIN)/python -m pytest -q -n 2 --dist loadfile tests/test_*.py tests/conformance \
		tests/ops tests/frameworks --ignore-glob='tests/test_stateful_*.py'

check: $(READY) ## formatting, types, import boundaries, freshness of generated files
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/ruff check --quiet $(SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m model emit --check
	$(BIN)/python -m model table --check
	$(BIN)/python -m nbio.reference --check docs
	@$(BIN)/python -m proofs.code_mutants --check

emit: $(READY) ## renew what is generated: nbio/_lifecycle.py and the tables in the docs
	$(BIN)/python -m model emit
	$(BIN)/python -m model table
	$(BIN)/python -m nbio.reference docs
	$(BIN)/ruff format --quiet nbio/_lifecycle.py

verify: $(READY) ## re-derive every ci claim, proof and mutant; one ledger
	$(BIN)/python -m proofs

verify-full: $(READY) code-mutants seeded ## the claims that take long
	$(BIN)/python -m model verify --tier full

code-mutants: $(READY) ## break the pool's code 700 times; renews proofs/code_mutants.txt
	$(BIN)/python -m proofs.code_mutants

seeded: $(READY) ## plant bugs in the server, one at a time; renews proofs/seeded.txt
	$(BIN)/python -m proofs.seeded

soak: $(READY) ## what takes minutes: 20,000 uploads with aborts, 10,000 idle connections
	$(BIN)/python -m pytest -q -m soak tests/soak

peers: $(READY) $(PEERS)/.ready ## the conformance cases against other servers; renews docs/peers.md
	$(BIN)/python -m tests.peers

bench: $(READY) $(PEERS)/.ready $(COMPILED)/.made ## measure against the peers (needs wrk, gcc); OPTIONS=--quick tries all once
	$(PEERS)/bin/python -m tests.bench.bench_pool --quiet
	$(PEERS)/bin/python -m tests.bench.bench_path
	$(AS_COMPILED) $(PEERS)/bin/python -m tests.bench.bench_path
	$(PEERS)/bin/python -m tests.bench.run $(OPTIONS)
	$(BIN)/python -m tests.bench.bench_verify

$(PEERS)/.ready: tests/bench/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/bench/peers.txt
	@touch $@

clean: ## remove what was made
	rm -rf $(VENV) $(PEERS) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
