# `make demo` and `make test` set up what they need; nothing else has to be read or run first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := dev,fast-encode,metrics
# Tests run side by side on so many processes; each keeps to one thread.
JOBS ?= 2
export OMP_NUM_THREADS ?= 1
# The Java of a cluster that lives for a minute: its thorough compiler takes more time than it gives back.
export JAVA_TOOL_OPTIONS ?= -XX:TieredStopAtLevel=1 -XX:+UseSerialGC

.PHONY: setup demo test test-slow test-all check format bench clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt tools/setup.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" EXTRAS="$(EXTRAS)" sh tools/setup.sh
	touch $@

demo: setup
	$(BIN)/corpusmill demo

test: setup
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist loadgroup

test-slow: setup
	$(BIN)/python -m pytest -m slow -n $(JOBS) --dist loadgroup --timeout 900

# Both in one go, which starts and prepares things once; the slowest are listed at the end.
test-all: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --timeout 900 --durations 25

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

format: setup
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format .

bench: setup
	@echo "One benchmark a module; each prints ratios. For example:"
	@for file in benchmarks/[a-z]*.py; do echo "  $(BIN)/python -m benchmarks.$$(basename $$file .py)"; done

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache
