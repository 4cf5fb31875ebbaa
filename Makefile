# make demo and make test work on a bare Debian 12 with git, make and python3-venv.
PYTHON ?= python3
BIN := .venv/bin
# Two files of tests at a time, each process with one thread; PYTEST_ARGS= runs one after the other.
# A process that crashes ends the run: one that took its place would wait for tests that nobody hands out.
PYTEST_ARGS ?= -n 2 --dist loadgroup --max-worker-restart 0

.PHONY: help setup setup-dev demo test lint clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: .venv/.setup ## make .venv with the library, napari and the test tools

setup-dev: .venv/.setup-dev ## the same with ruff, mypy and pre-commit

demo: setup ## segment a sample micrograph: in napari, or headless where there is no display
	@[ -z "$$DISPLAY$$WAYLAND_DISPLAY" ] || scripts/system_packages.sh
	$(BIN)/phaseguide demo

test: setup ## run every test under a virtual screen
	@scripts/system_packages.sh
	OMP_NUM_THREADS=1 scripts/headless.sh $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: setup-dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## remove .venv and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find src tests -name __pycache__ -prune -exec rm -rf {} +

# The stamps make a second run fast; they are older than pyproject.toml when dependencies change.
.venv/.setup: pyproject.toml
	@echo "Installing into .venv: several GB (torch), some minutes the first time."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --editable '.[all,test]'
	@touch $@

.venv/.setup-dev: .venv/.setup
	$(BIN)/python -m pip install --editable '.[all,dev]'
	@touch $@
