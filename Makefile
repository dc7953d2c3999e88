# Everything needs only Python 3.11 or newer and make; the rest is installed into .venv from locks/dev.txt.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)
VENV := .venv
RUN := $(VENV)/bin/python
# Tests wait about as long as they work (servers starting, databases, timers): half as many workers again as processors.
WORKERS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null | awk '{print int(($$1 * 3 + 1) / 2)}')

.DEFAULT_GOAL := help
.PHONY: help run test check check-style check-types check-tests bench mutation locks format python

help: ## show this list
	@echo 'MensajeriaApp'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: python ## a demo: server, two accounts, two windows (or the terminal, without a display)
	@$(PYTHON) tools/bootstrap.py --qt warn
	@$(VENV)/bin/mensajeria demo

test: python ## every test
	@$(PYTHON) tools/bootstrap.py --qt require
	$(RUN) -m pytest -n $(or $(WORKERS),auto) --dist worksteal

check: python ## style, types, import rules and the quick tests
	@$(PYTHON) tools/bootstrap.py --qt require
	@$(MAKE) --no-print-directory -j check-style check-types check-tests

# Side by side: the tests wait for servers and timers while mypy works.
check-style:
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(VENV)/bin/lint-imports --no-logo

check-types:
	$(RUN) -m mypy

check-tests:
	$(RUN) -m pytest -q -n $(or $(WORKERS),auto) --dist worksteal -m 'not slow'

bench: python ## measurements, beside the bare limits of this machine
	@$(PYTHON) tools/bootstrap.py --qt warn
	$(RUN) -m benchmarks

mutation: python ## mutation tests of the code that verifies (AREAS="membership keys" for some)
	@$(PYTHON) tools/bootstrap.py --qt skip
	$(RUN) tools/mutation.py --install $(AREAS)

locks: python ## compile locks/ again after a change of the dependencies in pyproject.toml
	@$(PYTHON) tools/bootstrap.py --qt skip
	tools/compile_locks.sh

format: python ## format the code and mend what can be mended
	@$(PYTHON) tools/bootstrap.py --qt skip
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is missing (Debian/Ubuntu: apt-get install python3 python3-venv)' >&2; exit 1; }
