# The two commands: `make run` (the demo, no network beyond packages) and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SNAKEMAKE := PYTHONPATH=workflow $(BIN)/python -m drugtail unlock >/dev/null && $(BIN)/snakemake
# Of two profiles, as in PROFILE="slurm slurm-gpu", the second goes before the first.
ON_CLUSTER = $(if $(PROFILE),--profile "workflow/profiles/$(firstword $(PROFILE))" \
  --workflow-profile "workflow/profiles/$(lastword $(PROFILE))")
PIP := $(BIN)/python -m pip install --disable-pip-version-check

# What NAME may be: benchmarks, not the data sets beside them.
BENCHMARKS = $(patsubst config/benchmarks/%.yaml,%,$(shell grep -lE '^(methods|extends):' -r config/benchmarks --include=*.yaml | sort))

# Part C of the study is run and published by data set and kind of split.
PAPER = $(wildcard results/published/paper results/published/paper_*)

# Snakemake keeps caches in the home folder, which not every node of a cluster has.
ifeq ($(and $(HOME),$(wildcard $(HOME)/.)),)
export XDG_CACHE_HOME ?= $(CURDIR)/.snakemake/cache
endif

.PHONY: run benchmark paper-tables slurm cuda quick test bench faults check docs format clean help

run: $(VENV)/installed  ## Run the demo benchmark on the embedded data
	$(SNAKEMAKE)

benchmark: $(VENV)/installed  ## Run config/benchmarks/NAME.yaml; MIRROR=folder is tried before any address, PROFILE=slurm runs on a cluster
	@test -f "config/benchmarks/$(NAME).yaml" || { echo "Name a benchmark: make benchmark NAME=real. There are:" \
	  $(BENCHMARKS) >&2; exit 1; }
	@for name in $(PROFILE); do test -d "workflow/profiles/$$name" || \
	  { echo "There is no profile $$name. There are: $(notdir $(wildcard workflow/profiles/*))" >&2; exit 1; }; done
	$(SNAKEMAKE) --configfile "config/benchmarks/$(NAME).yaml" $(if $(MIRROR),--config "mirror=$(MIRROR)") $(ON_CLUSTER)

paper-tables: $(VENV)/installed  ## Make the tables of the paper again from the published runs, in results/paper
	@test -n "$(PAPER)" || { echo "Part C is not published yet; study/paper and its four pieces study/paper_… are trained by make benchmark" >&2; exit 1; }
	$(BIN)/drugtail retabulate $(PAPER) --output results/paper

slurm: $(VENV)/installed  ## Install what workflow/profiles/slurm needs (docs/cluster.md)
	$(PIP) -r envs/requirements-slurm.txt

cuda: $(VENV)/bin/python  ## Install PyTorch for CUDA with its libraries, in Linux; `make run` after it keeps it
	$(PIP) -r envs/requirements-cuda.txt
	@$(BIN)/python -c 'import sys, torch; sys.exit(torch.version.cuda is None)' || \
	  { echo "$(VENV) has a PyTorch without CUDA. Remove it and repeat: $(BIN)/pip uninstall torch" >&2; exit 1; }

quick: $(VENV)/installed-dev  ## Run the unit tests that train nothing, in two minutes
	$(BIN)/python -m pytest -n 2 -m "not training" tests/unit

test: $(VENV)/installed-dev  ## Run every test; those on a cluster where SLURM can be started
	$(BIN)/python tests/run_all.py

bench: $(VENV)/installed-dev  ## Measure what things cost here, an hour; let nothing else run beside it
	$(BIN)/python tests/benchmarks/bench.py
	$(BIN)/python tests/benchmarks/grid.py
	$(BIN)/python tests/benchmarks/scale.py

faults: $(VENV)/installed-dev  ## Try faults by the thousand, an hour; SHARE=0.1 makes a tenth of them
	PYTHONPATH=tests $(BIN)/python tests/faults/campaign.py --share $(or $(SHARE),1)

check: $(VENV)/installed-dev  ## Check formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check --compact-diff Snakefile workflow
	$(BIN)/mypy

docs: $(VENV)/installed-dev  ## Build the documentation in results/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "Open results/site/index.html"

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

$(VENV)/installed: envs/requirements.txt envs/requirements-no-deps.txt pyproject.toml | $(VENV)/bin/python
	@if [ -L $(VENV) ]; then echo "$(VENV) is a link; what it leads to is used as it is."; else \
	  echo "Installing packages into $(VENV); this takes some minutes the first time." && \
	  $(PIP) -r envs/requirements.txt && \
	  $(PIP) --no-deps -r envs/requirements-no-deps.txt && \
	  $(PIP) --no-deps --no-build-isolation --editable . && \
	  touch $@ && echo "Packages are installed."; fi

$(VENV)/installed-dev: envs/requirements-dev.txt envs/requirements-slurm.txt $(VENV)/installed
	@[ -L $(VENV) ] || { $(PIP) -r envs/requirements-dev.txt && touch $@; }
