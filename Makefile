# The commands of the project. They need Python 3.10-3.14, git and make, and set up the rest themselves.
#
# PYTHON=/path/to/python3  the interpreter to set up with; otherwise the first suitable one on PATH.

.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

# The line of Airflow that is worked on, and the oldest that pyproject.toml allows.
AIRFLOW := 3.3.2
AIRFLOW_OLDEST := 3.2.0

VENV := .venv
PY := $(VENV)/bin/python
CODE := airflow_provider_b24 $(wildcard tests tools benchmarks example_dags)

# Airflow starts its parts by the name `airflow`, so the environment has to be on PATH. Whoever runs make may have an
# Airflow of his own: nothing run from here shall touch it.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export AIRFLOW_HOME := $(CURDIR)/.airflow
export PYTHONUNBUFFERED := 1
unexport PYTHONHOME PYTHONPATH

# An environment cannot be moved: one whose stamp names another folder is made anew.
STAMP := $(VENV)/.stamp
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP)  ## make the environment .venv (the other commands do it, too)
	@echo ".venv is ready"

$(STAMP): pyproject.toml constraints.txt
	@python=$$(tools/find-python "$(PYTHON)") && "$$python" tools/bootstrap.py $(VENV) constraints.txt

.PHONY: format
format: $(STAMP)  ## bring the code into shape
	ruff format .
	ruff check --fix .

.PHONY: check
check: $(STAMP)  ## format, lint, types, import contracts, coverage of rest/ and chat/
	ruff format --check .
	ruff check .
	mypy --strict airflow_provider_b24
	mypy $(CODE)
	lint-imports
	coverage run -m pytest -q tests/unit tests/portal
	coverage report --include='airflow_provider_b24/rest/*,airflow_provider_b24/chat/*' --fail-under=90

.PHONY: test
test: $(STAMP)  ## all tests; ARGS='-k name' passes options to pytest
	$(PY) -m pytest tests $(ARGS)

.PHONY: demo
demo: $(STAMP)  ## a report in a chat, on a real Airflow and a portal on loopback; KEEP=1 leaves them up
	@$(PY) tools/demo.py $(if $(KEEP),--keep)

.PHONY: chaos
chaos: $(STAMP)  ## tasks that post are killed and their portal misbehaves: nothing lost, nothing twice; ARGS='--trials 44'
	@$(PY) tools/chaos.py $(ARGS)

.PHONY: crash
crash: $(STAMP)  ## a load into PostgreSQL is killed 20 times: the table equals the portal; ARGS='--deals 100000'
	@$(PY) tools/crash.py $(ARGS)

.PHONY: bench
bench: $(STAMP)  ## the benchmarks, one ratio each; LONG=1 for those too that take minutes; CROWD=1 a thousand dialogs
	@$(PY) benchmarks/run.py $(if $(LONG),--long) $(if $(CROWD),--crowd)

.PHONY: images
images: $(STAMP)  ## the pictures of messages in docs/images, as the tests of the chat page see them
	B24_IMAGES=1 $(PY) -m pytest -q tests/browser/test_messages.py

.PHONY: test-oldest
test-oldest: .venv-oldest/.stamp  ## the tests without Airflow's components, on the oldest Airflow that is supported
	PATH="$(CURDIR)/.venv-oldest/bin:$$PATH" .venv-oldest/bin/python -m pytest tests/unit tests/portal $(ARGS)

.venv-oldest/.stamp: pyproject.toml constraints-oldest.txt
	@python=$$(tools/find-python "$(PYTHON)") && "$$python" tools/bootstrap.py .venv-oldest constraints-oldest.txt

# Pins stay as they are unless something requires otherwise; UPGRADE=1 takes the newest of everything.
COMPILE = .venv-uv/bin/uv pip compile pyproject.toml --group dev --quiet --universal --python-version 3.10 \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command 'make constraints'

.PHONY: constraints
constraints: $(STAMP)  ## pin anew what is installed (versions only); UPGRADE=1 for the newest of everything
	test -x .venv-uv/bin/uv || { $(PY) -m venv .venv-uv && .venv-uv/bin/pip install --quiet uv; }
	echo 'apache-airflow==$(AIRFLOW)' > .venv-uv/airflow.txt
	$(COMPILE) --constraint .venv-uv/airflow.txt $(if $(UPGRADE),--upgrade) --output-file constraints.txt
	echo 'apache-airflow==$(AIRFLOW_OLDEST)' > .venv-uv/airflow.txt
	cp constraints.txt constraints-oldest.txt
	$(COMPILE) --constraint .venv-uv/airflow.txt --output-file constraints-oldest.txt

.PHONY: clean
clean:  ## remove everything that make has made
	rm -rf $(VENV) .venv-* .venv.lock .airflow build dist *.egg-info .coverage htmlcov
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
