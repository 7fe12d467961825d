# Needs Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin

# How long `make stress` kills: two cores that were busy with other work managed five kills a minute.
KILLS ?= 1000
MINUTES ?= 240

.PHONY: demo test stress lint docs clean

demo: .venv/.demo
	$(BIN)/clipdb demo

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Kills commands at any moment, KILLS times but for at most MINUTES, then looks at all states that a power failure can leave.
stress: .venv/.dev
	PYTHONPATH=tests/helpers $(BIN)/python tests/stress/kills.py --kills $(KILLS) --minutes $(MINUTES)
	CLIPDB_STRESS=1 $(BIN)/python -m pytest tests/stress/test_power_loss.py

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/.dev
	$(BIN)/python -m clipdb.schema.document
	$(BIN)/python tools/generate_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.demo: .venv/bin/python pyproject.toml
	@echo "Installing clipdb into .venv: about 7 GB on Linux with the CUDA build of torch (see README.md for the CPU build)"
	$(BIN)/python -m pip install --quiet --editable ".[ingest]"
	touch $@

.venv/.dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv clipdb-demo site
