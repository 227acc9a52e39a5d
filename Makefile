# Everything that is done with this checkout. Each target makes .venv by itself when it is missing or out of date.
# PYTHON=… chooses the interpreter that .venv is made with; ARGS=… is handed on to serve, test, bench, demo and lock.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test check torture mutants bench demo docs lock screenshots clean

PYTHON ?= python3.11 python3
ARGS ?=
BIN := .venv/bin
CODE := cortex_tasks tests benchmarks

help:  ## Print this list (the default)
	@sed -nE 's/^([a-z]+):.*  ## (.*)/\1 \2/p' Makefile | while read -r target line; do \
		printf 'make %-11s  %s\n' "$$target" "$$line"; done

serve: .venv/.installed  ## Serve on 127.0.0.1:8000, with the data in ./data (ARGS='--port 9000 …')
	$(BIN)/cortex-tasks serve $(ARGS)

# In several processes (tests/conftest.py), and a file at a time: what a file's laws share, a server or a browser, is started once.
test: check  ## Do what check does, then run every test (ARGS='tests/test_x.py -k …')
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: .venv/.installed  ## Lint, check the format, the types, and who imports whom; no tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-cache --no-logo

torture: .venv/.installed  ## Run the attacks on ourselves to the full: hours (ARGS='-k simulation')
	CORTEX_TASKS_TORTURE=full $(BIN)/python -m pytest -o faulthandler_timeout=0 \
		$$($(BIN)/python -m tests.torture) $(ARGS)

mutants: .venv/.installed  ## Break the code on purpose, in a copy, and see that the laws notice (ARGS='fsync')
	$(BIN)/python -m tests.mutants $(ARGS)

bench: .venv/.installed  ## Measure, and print each figure beside the limit it is held against (ARGS='opening pages')
	$(BIN)/python -m benchmarks $(ARGS)

docs: .venv/.installed  ## Build the documentation site in build/site; a warning or a broken link is an error
	$(BIN)/sphinx-build --fail-on-warning --nitpicky --keep-going --quiet -b dirhtml docs build/site

demo: .venv/.installed  ## Show everything once: the sample documents through all four jobs, on a server of its own
	$(BIN)/cortex-tasks demo $(ARGS)

# The settings of this machine's pip are left out, so that the pins and hashes are the public ones wherever this runs.
lock: .venv/.installed  ## Write requirements/dev.txt anew from pyproject.toml and dev.in (ARGS=--upgrade)
	env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
		CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe \
		--extra trio --extra server --extra jobs --extra cli --extra otel --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file requirements/dev.txt pyproject.toml requirements/dev.in $(ARGS)

screenshots: .venv/.installed  ## Take the pictures of the page in docs/screenshots anew, with Chromium
	$(BIN)/python -m tests.page_screenshots

clean:  ## Remove what was made here: .venv, archives, caches; never ./data
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Made from nothing whenever the pins change, so that it never holds what they no longer name.
.venv/.locked: requirements/dev.txt
	@for python in $(PYTHON); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			found=$$python; break; fi; done; \
	if [ -z "$${found:-}" ]; then \
		echo "Python 3.11 or newer is needed; none of these is: $(PYTHON). Name one: make PYTHON=/path/to/python3" >&2; \
		exit 1; fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$found cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; fi; \
	echo "Making .venv with $$found (once, and whenever requirements/dev.txt changes)"; \
	"$$found" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@touch $@

# Without warnings: setuptools warns that the folder here comes before an installed one, which is the point.
.venv/.installed: .venv/.locked pyproject.toml
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
