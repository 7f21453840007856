# Everything a laptop and CI run. `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ipsync-stamp
PROVE_STAMP := $(VENV)/.ipsync-prove-stamp
WORKERS ?= 3
SPREAD = -n $(WORKERS) --dist worksteal
CODE := ipsync tests docs/make_cli.py $(wildcard bench proof)
UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(UPGRADE)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Packages are installed uncompiled (see the recipe of .venv): where Python may not write, each process would compile them again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-fast coverage lint format bench prove docs lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

venv: $(STAMP) ## .venv with everything in the lock, hashes checked

# One recipe for an empty clone and for a .venv that exists: pip adds and corrects what the lock says, no more. It leaves
# compiling to the first import: a third of pip's time went into files that nobody opens.
$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "ipsync needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." >&2; \
	  echo "Install one and name it:  make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' can't make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV) …"
	@$(BIN)/python -m pip install -qq --no-compile --no-deps --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## the whole job against local clouds: no account, no network
	@$(BIN)/ipsync demo

test: $(STAMP) ## all tests
	$(BIN)/python -m pytest $(SPREAD) $(ARGS)

coverage: $(STAMP) ## all tests, and which branches they don't take
	$(BIN)/python -m pytest $(SPREAD) --cov --cov-report=term $(ARGS)

test-fast: $(STAMP) ## the tests that finish in seconds
	$(BIN)/python -m pytest $(SPREAD) -m 'not slow' $(ARGS)

lint: $(STAMP) ## ruff, formatting, mypy --strict, import arrows, Prometheus rules
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy --strict
	$(BIN)/lint-imports --no-cache
	@if command -v promtool >/dev/null; then cd deploy/monitoring && promtool check rules ipsync.rules.yaml && promtool test rules ipsync.rules.test.yaml; \
	  else echo "promtool isn't here (Debian: apt install prometheus), so the Prometheus rules were not checked."; fi

format: $(STAMP) ## let ruff format and mend what it can
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(PROVE_STAMP) ## time and memory beside the least that any tool must do
	$(BIN)/python -m bench $(ARGS)

prove: $(PROVE_STAMP) ## the long fault runs, as a table of figures
	$(BIN)/python -m proof $(ARGS)

$(PROVE_STAMP): requirements-prove.lock $(STAMP)
	@echo "Installing what proofs and plots take into $(VENV) …"
	@$(BIN)/python -m pip install -qq --no-compile --no-deps --require-hashes -r requirements-prove.lock
	@touch $@

docs: $(STAMP) ## write docs/cli.md from the commands' help
	$(BIN)/python docs/make_cli.py

lock: $(STAMP) ## pin all four locks again; UPGRADE=--upgrade takes new versions
	$(UV_COMPILE) pyproject.toml --extra dev -o requirements-dev.lock
	$(UV_COMPILE) pyproject.toml --extra prove -c requirements-dev.lock -o requirements-prove.lock
	$(UV_COMPILE) pyproject.toml --extra kubernetes --extra otel -c requirements-dev.lock -o requirements.lock
	$(UV_COMPILE) --group build -c requirements-dev.lock -o requirements-build.lock

clean: ## remove what these targets made
	rm -rf $(VENV) build dist ./*.egg-info .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
