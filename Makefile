# The two commands: `make run` (the demo, no network beyond packages) and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SNAKEMAKE := $(BIN)/python workflow/unlock.py && $(BIN)/snakemake
PIP := $(BIN)/python -m pip install --disable-pip-version-check

.PHONY: run tuned real baselines families ablation separability proposed test bench check format clean help

run: $(VENV)/installed  ## Run the demo benchmark on the embedded data
	$(SNAKEMAKE)

tuned: $(VENV)/installed  ## Tune every method alike on the embedded data, then train it
	$(SNAKEMAKE) --configfile config/tuned.yaml

real: $(VENV)/installed  ## Run six methods on three public data sets; MIRROR=folder is tried first
	$(SNAKEMAKE) --configfile config/real.yaml $(if $(MIRROR),--config mirror=$(MIRROR))

ablation: $(VENV)/installed  ## Take the proposed method apart; MIRROR as above
	$(SNAKEMAKE) --configfile config/ablation.yaml $(if $(MIRROR),--config mirror=$(MIRROR))

separability: $(VENV)/installed  ## Compare variants of class_separability; MIRROR as above
	$(SNAKEMAKE) --configfile config/separability.yaml $(if $(MIRROR),--config mirror=$(MIRROR))

proposed: $(VENV)/installed  ## Compare the proposed methods with simple baselines; MIRROR as above
	$(SNAKEMAKE) --configfile config/proposed.yaml $(if $(MIRROR),--config mirror=$(MIRROR))

baselines: $(VENV)/installed  ## Run every method at full length on MeSH drug classes; MIRROR as above
	$(SNAKEMAKE) --configfile config/baselines.yaml $(if $(MIRROR),--config mirror=$(MIRROR))

families: $(VENV)/installed  ## Run every method briefly on the demo data
	$(SNAKEMAKE) --configfile config/families.yaml

test: $(VENV)/installed-dev  ## Run every test
	$(BIN)/python -m pytest -n 2 --dist worksteal

bench: $(VENV)/installed-dev  ## Measure what things cost here, an hour; let nothing else run beside it
	$(BIN)/python tests/benchmarks/bench.py
	$(BIN)/python tests/benchmarks/grid.py
	$(BIN)/python tests/benchmarks/scale.py

check: $(VENV)/installed-dev  ## Check formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check --compact-diff Snakefile workflow
	$(BIN)/mypy

format: $(VENV)/installed-dev  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow

clean:  ## Remove results (published ones stay) and the environment
	rm -rf $(VENV) .snakemake
	find results -mindepth 1 -maxdepth 1 ! -name published -exec rm -rf {} +

help:  ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: envs/requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing packages into $(VENV); this takes some minutes the first time."
	$(PIP) -r envs/requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "Packages are installed."

$(VENV)/installed-dev: envs/requirements-dev.txt $(VENV)/installed
	$(PIP) -r envs/requirements-dev.txt
	@touch $@
