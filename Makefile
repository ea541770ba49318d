# make run    set up and open the app            make test   set up and pass all tests
# make check  lint, format, types, doctests, viewer   make slow   tests that take minutes each
# make check-viewer  lint, types and unit tests of the viewer's JavaScript (needs node and npm)
# make science  compare selections, searches of cells and all defaults (resumable, hours; FASHION=DIR adds
#               Fashion-MNIST, whose files as *.gz lie there: Debian's package dataset-fashion-mnist)
# make docs   build the documentation into build/site     make diagrams  draw its pictures again (needs dot)
# make bench  print the benchmarks               make pictures / snapshots  rewrite README pictures / DOT files
# make wheel  build the wheel, and open its app from an empty environment
# make upgrade  renew .ci/constraints.txt, the versions that all tests passed with
# make settings  rewrite docs/settings.md from the declarations
# make documents  rewrite docs/documents.md, the table of what the five documents contain
# make networks  try the networks of torchvision, timm and transformers (hours), rewrite the README's table

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
PIP := $(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt
# tests/conftest.py groups the tests that share what they set up, and orders the groups: the longest first.
SPREAD := -n logical --maxprocesses 4 --no-loadscope-reorder

.PHONY: run test wheel upgrade check check-viewer lint types doctests docs diagrams slow bench science settings snapshots
.PHONY: pictures thumbnails documents networks clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml .ci/constraints.txt | $(BIN)/python
	$(PIP) --editable ".[app]"
	touch $@

$(VENV)/.dev: pyproject.toml .ci/constraints.txt | $(BIN)/python
	$(PIP) --no-compile --editable ".[dev]"
	touch $(VENV)/.base $@

run: $(VENV)/.base
	$(BIN)/python -m streamlit run app.py -- $(ARGS)

test: $(VENV)/.dev
	$(PYTEST) $(SPREAD) -r fER -m "not slow and not gpu" $(ARGS)

check: check-viewer docs lint types doctests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell nasviz pages tests app.py README.md CHANGELOG.md CONTRIBUTING.md docs

types: $(VENV)/.dev
	$(BIN)/mypy

doctests: $(VENV)/.dev
	$(PYTEST) --doctest-modules nasviz

# Only developers need node: the app and the package run the modules as they are.
check-viewer:
	@if command -v npm >/dev/null; then \
		$(MAKE) --no-print-directory node_modules/.package-lock.json && npm run --silent check; \
	elif [ -n "$$NASVIZ_NO_SKIP" ]; then \
		echo "check-viewer needs node and npm, which are not installed" >&2; exit 1; \
	else \
		echo "SKIPPED check-viewer: the viewer's JavaScript is not checked without node and npm" >&2; \
	fi

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --silent
	touch $@

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

diagrams:
	for name in docs/pictures/*.dot; do dot -Tsvg $$name -o $${name%.dot}.svg || exit 1; done

wheel: $(VENV)/.dev
	$(BIN)/python -m tests.wheel

upgrade:
	rm -rf build/upgrade && $(PYTHON) -m venv build/upgrade
	build/upgrade/bin/python -m pip install --quiet --no-compile --editable ".[dev]"
	build/upgrade/bin/python -m pip freeze --exclude-editable > .ci/constraints.txt

slow: $(VENV)/.dev
	$(PYTEST) -m slow $(ARGS)

bench: $(VENV)/.dev
	for script in tests/bench/bench_*.py; do PYTHONPATH=. $(BIN)/python $$script || exit 1; done

science: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python -m tests.science.digits $(ARGS)
	PYTHONPATH=. $(BIN)/python -m tests.science.cells $(ARGS)
	PYTHONPATH=. $(BIN)/python -m tests.science.defaults --write docs/science.md $(if $(FASHION),--fashion $(FASHION))

documents: $(VENV)/.dev
	$(BIN)/python docs/documents.py

settings: $(VENV)/.dev
	$(BIN)/python -m nasviz.settings > docs/settings.md

snapshots: $(VENV)/.dev
	NASVIZ_SNAPSHOTS=1 $(PYTEST) tests/draw tests/viewer/test_shared.py

pictures: $(VENV)/.dev
	rm -rf build/pictures && mkdir -p build/pictures
	NASVIZ_PICTURES=build/pictures $(PYTEST) tests/browser/test_journey.py
	cp build/pictures/sub-network.png build/pictures/segment-graph.png assets/
	$(BIN)/python assets/animate.py build/pictures/frames assets/tour.webp

networks: $(VENV)/.dev
	mkdir -p build
	$(BIN)/python -m tests.coverage --resume --json build/networks.json
	$(BIN)/python -m tests.coverage --publish --json build/networks.json

thumbnails: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python assets/thumbnails.py $(ARGS)

clean:
	rm -rf $(VENV) node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
