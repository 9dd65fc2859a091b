# Each target is one line that a person could type. PYTHON chooses the interpreter of the virtual environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check

.PHONY: bench test gate baseline experiment verify lint format native asan tsan soak programs benchmarks recordings docs clean

bench: $(VENV)/installed
	$(BIN)/memtool bench

test: $(VENV)/developing
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

# memtool's own strategies against what they took when the baselines were made. Footprints are exact figures, so any growth fails.
GATED := @pools,@arenas,@free-lists,@real-time,@buddies
GATE := check quickstart chapter/fragmentation chapter/growing-vectors -a $(GATED) --passes footprint \
  --metric peak_footprint_bytes,footprint_mean_ratio,metadata_bytes,internal_fragmentation,external_fragmentation \
  --baseline results/baselines/strategies.json
# Instructions: the same to the last one on one machine; half a per cent is for the C libraries of two that call themselves the same.
# Footprints besides, which are gated also where nothing counts or another compiler built the engine.
GATE_INSTRUCTIONS := check results/baselines/instructions.yaml -a $(GATED),thread-heaps,thread-cache --passes footprint,counters \
  --metric instructions_per_op,peak_footprint_bytes --limit instructions_per_op=0.5% \
  --baseline results/baselines/instructions.json

gate: $(VENV)/developing
	$(BIN)/memtool $(GATE)
	$(BIN)/memtool $(GATE_INSTRUCTIONS)

baseline: $(VENV)/developing
	$(BIN)/memtool $(GATE) --update
	$(BIN)/memtool $(GATE_INSTRUCTIONS) --counters callgrind --update

experiment: $(VENV)/developing
	$(BIN)/python benchmarks/experiment.py --write verification/experiment.md
	$(BIN)/python -m verification --write

verify: $(VENV)/developing
	$(BIN)/python -m verification

lint: $(VENV)/developing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files '*.c' '*.cpp' '*.hpp' '*.h' | xargs $(BIN)/clang-format --dry-run --Werror

format: $(VENV)/developing
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files '*.c' '*.cpp' '*.hpp' '*.h' | xargs $(BIN)/clang-format -i

native: $(VENV)/developing
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .

asan: $(VENV)/developing
	$(BIN)/python -m pytest --numprocesses auto tests/native/test_stress.py tests/native/test_passes.py --sanitize

tsan: $(VENV)/developing
	$(BIN)/python -m pytest --numprocesses auto tests/native/test_locked.py tests/native/test_replays.py --sanitize

# SECONDS=600 or OPERATIONS=100M: how long the first part goes on; a minute unless told. Then the fuzzers, and kills with resume.
soak: $(VENV)/developing
	$(BIN)/python scripts/soak.py $(if $(OPERATIONS),--operations $(OPERATIONS)) $(if $(SECONDS),--seconds $(SECONDS))
	$(BIN)/python -m pytest tests/property tests/integration/test_kills.py --documents 2000 --kills 50 --timeout 7200

# Real programs of this machine with strategies for their malloc: what they say must be what they say without.
programs: $(VENV)/developing
	$(BIN)/python scripts/real_programs.py

benchmarks: $(VENV)/developing
	$(BIN)/python -m benchmarks.run

# Real programs, recorded whole into recordings/, with times and call sites; whatever is not installed is named and left out.
recordings: $(VENV)/developing
	$(BIN)/python scripts/record_programs.py

docs: $(VENV)/developing
	$(BIN)/python scripts/allocators_page.py

clean:
	rm -rf build $(VENV)

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/pip pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt scikit-build-core
	$(PIP) install --quiet --constraint constraints.txt cmake ninja
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable .
	touch $@

$(VENV)/developing: $(VENV)/installed
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	touch $@
