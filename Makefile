# Four commands. Each sets up .venv by itself; a changed pyproject.toml or constraints.txt sets it up again.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready-demo
DEV := .venv/.ready-dev

.PHONY: demo test check bench docs clean

demo: $(READY)  ## the main job on real retail data, from raw logs to demo-report/report.html
	$(BIN)/promolift demo

test: $(DEV)  ## all tests; a thread for each worker, since more of them wait for one another
	OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup

check: $(DEV)  ## style, types, the house's import rules, generated docs
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

bench: $(DEV)  ## every benchmark in full; add QUICK=--quick for under a minute each
	for script in benchmarks/*.py; do $(BIN)/python $$script $(QUICK) || exit 1; done

docs: $(DEV)  ## write the generated pages again
	$(BIN)/python docs/generate.py

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "promolift needs Python 3.11 or newer; try make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo]'
	touch $@

$(DEV): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .promolift demo-report
