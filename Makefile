# make demo and make test work on a bare Debian 12 with git, make and python3-venv.
PYTHON ?= python3
BIN := .venv/bin
# For pytest, instead of all tests: make test PYTEST_ARGS="tests/ratios -x"
PYTEST_ARGS ?=

# The window tests that also run with PySide6: what differs between the two bindings, and each dock once.
PYSIDE := .venv-pyside6
PYSIDE_TESTS ?= $(addprefix tests/widgets/, test_signals.py test_closed_docks.py test_two_viewers.py)

# Where make pictures puts them: make pictures PICTURES=/tmp/pictures
PICTURES ?= docs/images

.PHONY: help setup setup-dev demo test test-pyside6 lint docs pictures clean

help: ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: .venv/.setup ## make .venv with the library, napari and the test tools

setup-dev: .venv/.setup-dev ## the same with ruff, mypy and pre-commit

demo: setup ## segment a sample micrograph: in napari, or headless where there is no display
	@[ -z "$$DISPLAY$$WAYLAND_DISPLAY" ] || scripts/system_packages.sh
	$(BIN)/phaseguide demo

test: setup ## run every test, windows on virtual screens
	@scripts/system_packages.sh
	scripts/test.sh $(PYTEST_ARGS)

test-pyside6: $(PYSIDE)/.setup ## run a small set of window tests with PySide6 instead of PyQt6
	@scripts/system_packages.sh
	QT_API=pyside6 PYTEST_QT_API=pyside6 OMP_NUM_THREADS=1 $(PYSIDE)/bin/python -m pytest $(PYSIDE_TESTS)

lint: setup-dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The notice of a coming version of mkdocs is for whoever looks after the site, not for each build.
docs: setup-dev ## build the documentation as a site in site/, with warnings as errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python scripts/check_site.py site

pictures: setup ## make the pictures of the documentation anew, under a virtual screen (some minutes)
	@scripts/system_packages.sh
	for script in docs/make/*.py; do \
	  scripts/headless.sh $(BIN)/python $$script --out $(PICTURES) || exit 1; \
	done

clean: ## remove .venv and caches
	rm -rf .venv $(PYSIDE) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist site
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

# Only PySide6 lies here; everything else, above all torch, is found in .venv.
$(PYSIDE)/.setup: .venv/.setup
	rm -rf $(PYSIDE)
	$(BIN)/python -m venv $(PYSIDE)
	$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" \
	  > "$$($(PYSIDE)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/other_packages.pth"
	$(PYSIDE)/bin/python -m pip install --editable '.[pyside6]'
	@touch $@
