# Needs Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin

# How long `make stress` kills at most: two cores that were busy with other work managed 16 kills a minute.
KILLS ?= 1000
MINUTES ?= 240
INPUTS ?= 500

.PHONY: demo test stress lint docs lock clean

demo: .venv/.demo
	$(BIN)/clipdb demo

# A worker that crashed is not replaced: pytest-xdist gives the new one nothing to do and waits forever (its #1378).
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# Kills commands at any moment, KILLS times but for at most MINUTES, gives them INPUTS damaged files, and looks at all
# states that a power failure can leave.
stress: .venv/.dev
	PYTHONPATH=tests/helpers $(BIN)/python tests/stress/kills.py --kills $(KILLS) --minutes $(MINUTES)
	PYTHONPATH=tests/helpers $(BIN)/python tests/stress/ray_kills.py --kills 100 --minutes $(MINUTES)
	PYTHONPATH=tests/helpers $(BIN)/python tests/stress/malformed.py --inputs $(INPUTS)
	CLIPDB_STRESS=1 $(BIN)/python -m pytest tests/stress/test_power_loss.py tests/ingest/images/test_resume.py tests/artefact/test_artefact_kill.py

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

# torch by version only, since a machine may bring a build of its own; everything else as it is locked.
.venv/.dev: .venv/bin/python requirements/dev.txt
	$(BIN)/python -m pip install --quiet "torch>=2.4" torchvision
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

lock: .venv/.dev
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python tools/lock.py

clean:
	rm -rf .venv clipdb-demo site
