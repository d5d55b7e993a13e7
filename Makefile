# Each command sets up .venv by itself; a changed pyproject.toml or constraints.txt sets it up again.
PYTHON ?= python3
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip
# What is installed, each with a mark of its own: `make demo LIGHT=1` leaves torch out, and a plain one brings it later.
EXTRAS_light := demo
EXTRAS_demo := demo,deep
EXTRAS_dev := dev
DEMO := .venv/.ready-$(if $(filter 1,$(LIGHT)),light,demo)
DEV := .venv/.ready-dev
# A thread for each worker, since more of them wait for one another. A file is one worker's, so that fixtures of a module
# are made once (pytest 9.2 leaves `xdist_group` without effect). What Python compiles is kept, even where the
# environment says otherwise: else each worker, and each process that a test starts, compiles all it imports once more.
COMPILED := PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/.venv/compiled
PYTEST := OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(COMPILED) $(BIN)/pytest -n 2 --dist loadfile

.PHONY: demo test test-all test-slow test-many check bench docs site release clean

demo: $(DEMO)  ## the main job on real retail data, from raw logs to demo-report/report.html; LIGHT=1: without torch
	$(BIN)/promolift demo

test: $(DEV)  ## the core: every law, some in a smaller form
	$(PYTEST) -m "not slow"

test-slow: $(DEV)  ## what the core leaves out: large simulations, whole programs, several processes
	$(PYTEST) -m slow

test-many: $(DEV)  ## the laws that draw cases, with four times as many of them
	PROMOLIFT_MANY=1 $(PYTEST) -m hypothesis

test-all: test test-slow  ## all tests

LAX := arg-type assignment index misc no-any-return no-untyped-call no-untyped-def operator return-value type-arg \
    union-attr var-annotated  # of a script mypy sees that what it calls is there, no more

check: $(DEV)  ## style, types, import rules, generated docs, sizes, catalogues of texts
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --no-warn-unused-ignores $(LAX:%=--disable-error-code %) benchmarks
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/python docs/size.py
	$(BIN)/python tools/catalogue/check.py

bench: $(DEV)  ## every benchmark in full; add QUICK=--quick for under a minute each
	for script in $(filter-out %_peers.py %_judged.py %_policies.py %_policy.py,$(sort $(wildcard benchmarks/*/*.py))); do $(COMPILED) $(BIN)/python $$script $(QUICK) || exit 1; done

docs: $(DEV)  ## write the generated pages again
	$(BIN)/python docs/generate.py

site: $(DEV)  ## into site/: the documentation with reference, notebooks and search; then python -m http.server -d site
	PYTHONPATH=src NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

release: $(DEV)  ## into dist/: the wheel, built twice and equal to the bit, its SBOM (CycloneDX), licences, checksums
	.ci/release

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "promolift needs Python 3.11 or newer; try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

# Not compiled: of torch and scipy alone most files are never imported, and those that are compile on their first import.
.venv/.ready-%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --no-compile --constraint constraints.txt --editable '.[$(EXTRAS_$*)]'
	touch $@

clean:
	rm -rf .venv .promolift demo-report site
