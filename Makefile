# From a bare clone, Python 3.11 or newer and make are enough: each target sets up what it needs.
#
#   make test                      with python3
#   make test PYTHON=python3.12    with another Python, in a virtual environment of its own
#
# Below Python 3.12 the environment has ArviZ 0.23, from 3.12 on ArviZ 1.3. Exact versions are in
# constraints/; a change there or in pyproject.toml is installed at the next call.

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
CONSTRAINTS ?= constraints/arviz-$(if $(filter 3.11,$(VERSION)),0,1).txt
VENV ?= .venv-$(VERSION)
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
STAMP := $(VENV)/.installed
BROWSER_STAMP := $(VENV)/.browser-installed
DIST_STAMP := $(VENV)/.dist-installed

# The documentation is built with ArviZ 1.x; its gallery has pictures by ArviZ 0.x too.
PYTHON311 ?= $(firstword $(wildcard .venv-3.11/bin/python) python3.11)
# The newest Python that classifiers name, which .ci/run leaves out.
PYTHON313 ?= python3.13
DOCS_STAMP := $(VENV)/.docs-installed

# The arrays are small: more threads would only wait for each other.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install demo test coverage browser dist doctest docs notebooks readme lint spelling types format picture robustness fuzz honesty soak kill bench newest links release clean

help: ## Show the targets
	@echo "make TARGET [PYTHON=python3.12]"
	@sed -n 's/^\([a-z]*\):.*## /  \1|/p' Makefile | tr '|' '\t' | expand -t 12

install: $(STAMP) ## Make the virtual environment .venv-VERSION

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) $(if $(VERSION),is Python $(VERSION),does not run): this needs Python 3.11 or newer, as in 'make test PYTHON=python3.12'." >&2; \
	  echo "Under pyenv, say which: 'PYENV_VERSION=3.12.1 make test PYTHON=python3.12'." >&2; \
	  exit 1; }
	@echo "Installing into $(VENV), with the versions of $(CONSTRAINTS): a minute or two."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --constraint $(CONSTRAINTS) hatchling editables
	$(BIN)/python -m pip install -qq --constraint $(CONSTRAINTS) --no-build-isolation --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## Run the examples on an outbreak and on the eight schools, within a minute; their pictures go to demo/
	@# ArviZ 0.23 announces ArviZ 1.0 once a day.
	$(BIN)/python -W ignore::FutureWarning:arviz examples/school_outbreak.py
	$(BIN)/python -W ignore::FutureWarning:arviz examples/eight_schools.py

test: $(STAMP) ## Run the tests and the doctests of package and docs; ARGS="-k name" goes to pytest
	$(BIN)/python -m pytest --doctest-modules --doctest-glob='*.md' arviz_resampler docs tests $(ARGS)

coverage: $(STAMP) ## Run the tests, and say which lines and branches of the package none takes
	$(BIN)/python -m coverage run -m pytest --doctest-modules --doctest-glob='*.md' arviz_resampler docs tests $(ARGS)
	$(BIN)/python -m coverage report --skip-covered

browser: $(BROWSER_STAMP) ## Test the widget in JupyterLab and Chromium, with PYTHON=python3.12 or newer; pictures go to build/browser
	BROWSER_SHOTS=build/browser $(BIN)/python -m pytest -ra tests/browser $(ARGS)

$(BROWSER_STAMP): $(STAMP) constraints/browser.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || { \
	  echo "The browser's test has versions for Python 3.12, as in 'make browser PYTHON=python3.12'." >&2; \
	  exit 1; }
	$(BIN)/python -m pip install -qq --constraint $(CONSTRAINTS) --constraint constraints/browser.txt \
	  --no-build-isolation --editable '.[browser]'
	@touch $@

dist: $(DIST_STAMP) ## Build wheel and sdist into dist/, check them, and try each by itself
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/python .ci/try_dist.py dist/*.whl dist/*.tar.gz

$(DIST_STAMP): $(STAMP) constraints/dist.txt
	$(BIN)/python -m pip install -qq --constraint $(CONSTRAINTS) --constraint constraints/dist.txt \
	  --no-build-isolation --editable '.[dist]'
	@touch $@

doctest: $(STAMP) ## Run the doctests alone
	$(BIN)/python -m pytest --doctest-modules --doctest-glob='*.md' arviz_resampler docs

docs: $(DOCS_STAMP) ## Build the documentation into build/html, with PYTHON=python3.12 or newer and Python 3.11
	@$(PYTHON311) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	  echo "$(PYTHON311) is not Python 3.11, which the pictures by ArviZ 0.x need: 'make docs PYTHON311=/path/to/python3.11'." >&2; \
	  exit 1; }
	$(MAKE) --no-print-directory install PYTHON=$(PYTHON311) VENV=.venv-3.11 CONSTRAINTS=constraints/arviz-0.txt
	@# ArviZ 0.23 announces ArviZ 1.0 once a day.
	.venv-3.11/bin/python -W ignore::FutureWarning:arviz scripts/gallery.py docs/howto/gallery.md
	$(BIN)/python scripts/gallery.py docs/howto/gallery.md
	@# Kernels draw into the pages, whatever a terminal is told.
	env -u MPLBACKEND $(BIN)/python -m sphinx --jobs 2 --nitpicky --fail-on-warning --keep-going --quiet docs build/html
	@echo "The documentation: build/html/index.html"

$(DOCS_STAMP): $(STAMP) constraints/docs.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || { \
	  echo "The documentation is built with ArviZ 1.x, which needs Python 3.12, as in 'make docs PYTHON=python3.12'." >&2; \
	  exit 1; }
	$(BIN)/python -m pip install -qq --constraint $(CONSTRAINTS) --constraint constraints/docs.txt --no-build-isolation --editable '.[docs]'
	@touch $@

notebooks: docs ## Build the documentation, and renew the notebooks of docs/case_studies, which a repository browser shows
	$(BIN)/python scripts/notebooks.py docs/case_studies build/jupyter_execute/case_studies/*.ipynb

links: $(DOCS_STAMP) ## Ask every address that the documentation links to whether it is there
	@# Nothing runs: pages are read for their links alone.
	$(BIN)/python -m sphinx -b linkcheck -D nb_execution_mode=off -D suppress_warnings=myst-nb.lexer --quiet docs build/links

readme: $(STAMP) ## Run every Python block of README.md
	$(BIN)/python .ci/run_blocks.py README.md

lint: $(STAMP) ## Check style and format with ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

spelling: $(STAMP) ## Check spelling with codespell; ARGS=-w mends it
	$(BIN)/codespell $(ARGS) README.md CODE_OF_CONDUCT.md CONTRIBUTING.md CHANGELOG.md SECURITY.md arviz_resampler benchmarks docs examples scripts tests

types: $(STAMP) ## Check types with mypy: strictly in the package, bodies in the tests
	$(BIN)/python -m mypy

format: $(STAMP) ## Mend style and format with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

picture: demo ## Renew two pictures of README.md
	cp demo/outbreak.png demo/prior_predictive.png docs/images/

robustness: $(STAMP) ## Try every distribution and write docs/robustness.md: some minutes
	PYTHONPATH=scripts:tests $(BIN)/python -m robustness

fuzz: $(STAMP) ## Compare 5,000 random programs with plain Pyro, and write the figures of docs/robustness.md: some minutes; ARGS="--programs 100 --seed 1" for others
	PYTHONPATH=scripts:tests $(BIN)/python -m fuzz --programs 5000 --page docs/_figures/fuzz.md $(ARGS)

honesty: $(STAMP) ## Measure how far numbers can be trusted, and write the figures of docs/background/trust.md: some minutes; ARGS="--runs 100 --seed 1000" for others
	PYTHONPATH=scripts $(BIN)/python -m honesty $(ARGS)

soak: $(STAMP) ## Use resamplers in 8 threads for 10 minutes, and see that bits and memory stay as they are; ARGS="--minutes 1" for less
	@# One arena of memory: glibc fills one for each thread, over many minutes.
	MALLOC_ARENA_MAX=1 PYTHONPATH=scripts $(BIN)/python -m soak $(ARGS)

kill: $(STAMP) ## Kill processes that write stores 50 times in each of five ways, and compare what they leave, bit by bit: some minutes; ARGS="--kills 10 --seed 1" for others
	PYTHONPATH=scripts $(BIN)/python -m kill $(ARGS)

bench: $(STAMP) ## Measure speed and memory beside Pyro, what guides cover, stores and fits, and write the pages: some minutes; DEVICE=cuda: times on a GPU alone
ifdef DEVICE
	$(BIN)/python benchmarks/devices.py --device $(DEVICE) --page docs/_figures/device-$(DEVICE).md
else
	env -u OMP_NUM_THREADS $(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/covering.py --page docs/_figures/covering.md
	$(BIN)/python benchmarks/large.py --page docs/_figures/large.md
	$(BIN)/python benchmarks/neighbors.py
	$(BIN)/python benchmarks/posteriors.py --page docs/_figures/posteriors.md
	$(BIN)/python benchmarks/fitting.py --page docs/_figures/fitting.md
endif

newest: ## Run the tests with the newest versions of everything, pre-releases too
	PIP_PRE=1 $(MAKE) --no-print-directory test VENV=.venv-newest-$(VERSION) CONSTRAINTS=constraints/newest.txt

release: ## Check everything for a release and build it into dist/: .ci/run, and the tests with Python 3.13
	$(PYTHON) .ci/release.py
	.ci/run
	$(MAKE) --no-print-directory test PYTHON=$(PYTHON313)
	@echo "Checked and built: dist/. CONTRIBUTING.md says what comes next."

clean: ## Remove virtual environments, caches and the demo's pictures
	rm -rf .venv* build demo dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find arviz_resampler tests examples -name __pycache__ -exec rm -rf {} +
