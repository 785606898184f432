# `make search` sets up and runs the main job; `make test` sets up and tests.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: install search test chaos lint docs bench lock

install: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

search: $(READY)
	$(BIN)/gatetune launch jobs/mnist-5k.yaml

test: lint
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Real jobs that meet random faults; SEED= repeats a run, DATABASE= keeps to sqlite or postgresql.
FAULTS ?= 100
chaos: $(READY)
	$(BIN)/python -m tests.chaos --faults $(FAULTS) \
		$(if $(SEED),--seed $(SEED)) $(if $(DATABASE),--database $(DATABASE))

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python -m search.reference > docs/job-document.md

lock:
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-emit-index-url --no-strip-extras --upgrade \
		--custom-compile-command "make lock" --output-file requirements.lock
