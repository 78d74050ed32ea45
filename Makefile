# `make help` lists the targets. Every target makes the environment it needs and is quick when run again.
PYTHON ?= python3
GOLDEN ?=
EASY := runs/easy-vqa-records
EASY_WHEEL := runs/easy_vqa-1.0-py3-none-any.whl
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help demo easy-vqa test slow check lint golden bench bench-quick clean
# A folder that was moved or copied needs its environment again: it points at the old place.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

help: ## list the targets
	@echo "mplug: make TARGET"
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || { \
	  echo "mplug needs Python 3.11 to 3.14; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: its venv module is missing." >&2; \
	  echo "On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@echo "==> making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@echo "==> installing mplug and what it needs into .venv (once; torch is most of it)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@printf '%s' '$(CURDIR)' > $@

demo: $(STAMP) ## learn from scratch on real pictures in minutes; writes runs/demo/report.html
	@echo "==> mplug demo"
	@$(BIN)/mplug demo

$(EASY_WHEEL): | $(STAMP)
	@echo "==> downloading easy-VQA (once)"
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps -d runs easy-vqa==1.0

$(EASY): | $(EASY_WHEEL)
	@$(BIN)/mplug data convert easy-vqa $(EASY) wheel=$(EASY_WHEEL)

easy-vqa: $(STAMP) | $(EASY) ## questions about shapes, from nothing to the official test, in about half an hour
	@echo "==> training into runs/easy-vqa: about half an hour on two cores; stopped, it goes on"
	@$(BIN)/mplug train easy-vqa data.train=$(EASY)/train.jsonl data.validation=$(EASY)/validation.jsonl --processes 2
	@$(BIN)/python -c 'import json; print("==> trained in %.1f minutes" % max(json.loads(line).get("seconds", 0) / 60 for line in open("runs/easy-vqa/metrics.jsonl")))'
	@$(BIN)/mplug evaluate runs/easy-vqa answer data=$(EASY)/test.jsonl train=$(EASY)/train.jsonl

test: $(STAMP) ## the tests, in a few minutes
	@echo "==> pytest"
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist loadfile

slow: $(STAMP) ## the checks that take longer
	@echo "==> pytest, the slow checks"
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -m slow

lint: $(STAMP) ## style and types
	@echo "==> ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "==> mypy"
	@$(BIN)/mypy

check: lint test ## style, types and tests: what continuous integration runs

golden: $(STAMP) ## compare with the reference numbers; GOLDEN=DIR checks another set of that layout
	@echo "==> golden numbers"
	@$(BIN)/python tests/golden/run.py $(if $(GOLDEN),"$(GOLDEN)")

bench: $(STAMP) ## measure speed against real rivals, within 30 minutes; writes docs/performance.md
	@echo "==> benchmarks"
	@HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks

bench-quick: $(STAMP) ## the same with small sizes, within 3 minutes: that everything runs
	@echo "==> benchmarks, small sizes"
	@HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks --quick

clean: ## remove the environment and caches; runs stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
