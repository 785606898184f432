# `make search` sets up and runs the main job; `make test` sets up and tests.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: install search test chaos compose-test bench screenshots lint docs lock

install: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	# In a quarter of pip's time; what packages have for newer Pythons cannot be compiled.
	$(BIN)/python -m compileall -qq -j 0 -x '/tests/' .venv/lib search trainables dashboards || true
	$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

search: $(READY)
	$(BIN)/gatetune launch jobs/mnist-5k.yaml

test: lint
	$(BIN)/python -m pytest -p tests.coverage -n 3 --dist worksteal

# Real jobs that meet random faults; SEED= repeats a run, DATABASE= keeps to sqlite or postgresql.
FAULTS ?= 100
chaos: $(READY)
	$(BIN)/python -m tests.chaos --faults $(FAULTS) \
		$(if $(SEED),--seed $(SEED)) $(if $(DATABASE),--database $(DATABASE))

# A team's installation in containers, whose parts are killed in mid-job; needs docker-compose.
compose-test: $(READY)
	$(BIN)/python -m tests.compose

# Every benchmark, minutes each; writes docs/performance.md. FULL=1 takes hours.
bench: $(READY)
	$(BIN)/python -m benchmarks $(if $(FULL),--full)

# Every page of the console, light and dark, wide and on a phone; needs Debian's chromium.
screenshots: $(READY)
	$(BIN)/python -m tests.dashboards.screenshots

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python -m search.document.reference > docs/job-document.md

COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-emit-index-url --no-strip-extras --upgrade \
	--custom-compile-command "make lock"

# What is tested, and of it what the image has.
lock:
	$(COMPILE) --extra dev --output-file requirements.lock
	$(COMPILE) --constraint requirements.lock --output-file deploy/requirements.lock
