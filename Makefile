# Every target sets up what it needs. Overridable: PYTHON, VENV, ARGS (passed on to the command).

SHELL := /bin/sh
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3)
IS_SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
HAS_VENV := import ensurepip, venv
GOAL := $(or $(firstword $(MAKECMDGOALS)),install)

# $(call create_venv,DIRECTORY): shell commands that make a new environment there, or end with one clear sentence.
define create_venv
found=; \
for python in $(PYTHONS); do \
    if "$$python" -c '$(IS_SUPPORTED)' 2>/dev/null; then found=$$python; break; fi; \
done; \
if [ -z "$$found" ]; then \
    echo "None of $(PYTHONS) is a Python 3.11 or 3.12: install one, or name it as in 'make $(GOAL) PYTHON=/path/to/python'." >&2; \
    exit 2; \
fi; \
if ! "$$found" -c '$(HAS_VENV)' 2>/dev/null; then \
    echo "$$found lacks the venv or ensurepip module: install it (Debian: python3-venv), or name another Python as in 'make $(GOAL) PYTHON=/path/to/python'." >&2; \
    exit 2; \
fi; \
"$$found" -m venv --clear "$(1)"
endef

.PHONY: install demo test up bench check gpu-check openapi lock

install: $(INSTALLED)

demo: $(INSTALLED)
	@$(BIN)/discovery demo $(ARGS)

up: $(INSTALLED)
	@$(BIN)/discovery up $(ARGS)

# What a file's tests start once (servers, a stack, a supervisor) is started once: a file is one process's.
test: $(INSTALLED)
	$(BIN)/pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder $(ARGS)

bench: $(INSTALLED)
	@$(BIN)/python -m benchmarks.startup $(ARGS)
	@$(BIN)/python -m benchmarks.gate $(ARGS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos
	$(BIN)/pytest tests/house

# Where there is a card: compares it with the processor and writes docs/gpu.md.
gpu-check: $(INSTALLED)
	$(BIN)/python -m tests.gpu $(ARGS)

# The document that the snapshot test compares with.
openapi: $(INSTALLED)
	$(BIN)/python -m discovery_service.api > tests/data/openapi.json
	$(BIN)/python -m discovery_service.api --reference > docs/api.md

# The stamp comes last, so an installation that was interrupted is taken up again, and one whose interpreter is gone
# or of another version is made anew.
$(INSTALLED): pyproject.toml constraints.txt
	@if ! $(BIN)/python -c '$(IS_SUPPORTED)' 2>/dev/null; then $(call create_venv,$(VENV)); fi
	@echo "Installing into $(VENV); the first time this takes some minutes."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[local,trl,plot,dev]'
	@touch $@

# async-timeout is what redis needs below Python 3.11.3, and no newer Python would bring it into the lock.
# Local labels (+cpu) and what only a CUDA build of torch brings are left out: torch pins the latter by itself.
lock:
	@set -eu; place=$$(mktemp -d); trap 'rm -rf "$$place"' EXIT; \
	$(call create_venv,$$place/venv); \
	python=$$place/venv/bin/python; \
	"$$python" -m pip install --quiet --upgrade pip; \
	"$$python" -m pip install --quiet --editable '.[local,trl,plot,dev]' async-timeout; \
	"$$python" -m pip freeze --all --exclude pip --exclude-editable > "$$place/frozen"; \
	{ \
	    echo "# The versions that everything is installed and tested with. 'make lock' resolves pyproject.toml with all its"; \
	    echo "# extras and writes this file. Which build of torch a version means, pip's own settings decide."; \
	    sed -E -e 's/\+[A-Za-z0-9.]+$$//' -e '/^(nvidia-|cuda-|triton==)/d' "$$place/frozen"; \
	} > constraints.txt
