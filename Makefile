# Each target is one line that a person could type. PYTHON chooses the interpreter of the virtual environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check

.PHONY: bench test again gate baseline experiment verify lint format native asan tsan drivers soak programs benchmarks recordings docs site links man wheel clean

bench: $(VENV)/installed
	$(BIN)/memtool bench

test: $(VENV)/developing
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

# What failed the last time, one after the other: it says whether a test fails by itself or only beside others.
again: $(VENV)/developing
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none

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
# What is exact of other kinds of work than heap events.
GATE_ACCESS := check chapter/padding -a arena,pool:block=256,segregated-pool,slab,best-fit,tlsf,buddy --passes footprint --blocks 2 \
  --metric padding_bytes,across_lines_share --baseline results/baselines/access.json

# Containers: what they ask for, what that takes, and where nodes lie.
GATE_CONTAINERS := check results/baselines/containers-list.yaml results/baselines/containers-map.yaml \
  -a bump,segregated-pool,tlsf,best-fit,buddy --passes footprint \
  --metric peak_footprint_bytes,allocations_per_op,lines_per_element_churned,jumps_per_element_churned \
  --baseline results/baselines/containers.json

# Constructors, destructors, blocks and bytes of objects, in all ways that there are.
GATE_OBJECTS := check chapter/placement-new chapter/object-handles chapter/object-arrays -a segregated-pool,tlsf,arena --passes footprint \
  --metric constructions_per_object,destructions_per_object,blocks_per_object,asked_per_object_bytes,peak_footprint_bytes \
  --baseline results/baselines/objects.json

# Instructions of an access to a file: what the program itself executes, the kernel's apart.
GATE_FILES := check results/baselines/files.yaml --passes counters --metric instructions_per_op \
  --limit instructions_per_op=0.5% --baseline results/baselines/files.json

# Buffers of a device: each block proved, and what of the buffer each way to divide it takes.
GATE_DEVICES := check results/baselines/device.yaml \
  -a tlsf,buddy,segregated-pool,slab,best-fit,free-list:structure=apart --passes check,footprint --blocks 2 \
  --metric peak_footprint_bytes,metadata_bytes,internal_fragmentation,external_fragmentation \
  --baseline results/baselines/device.json

# Collectors: how often they collect, what that marks and moves, and what they take.
GATE_GRAPHS := check chapter/garbage-young chapter/garbage-cycles \
  -a mark-sweep,mark-compact,generational,immix,semispace:heap=4x,reference-counting,deferred-counting --passes footprint --blocks 2 \
  --metric collections,marked_bytes,copied_bytes,promoted_bytes,peak_footprint_bytes --baseline results/baselines/graphs.json

gate: $(VENV)/developing
	$(BIN)/memtool $(GATE)
	$(BIN)/memtool $(GATE_OBJECTS)
	$(BIN)/memtool $(GATE_INSTRUCTIONS)
	$(BIN)/memtool $(GATE_CONTAINERS)
	$(BIN)/memtool $(GATE_ACCESS)
	$(BIN)/memtool $(GATE_DEVICES)
	$(BIN)/memtool $(GATE_GRAPHS)
	$(BIN)/memtool $(GATE_FILES)

baseline: $(VENV)/developing
	$(BIN)/memtool $(GATE) --update
	$(BIN)/memtool $(GATE_OBJECTS) --update
	$(BIN)/memtool $(GATE_INSTRUCTIONS) --counters callgrind --update
	$(BIN)/memtool $(GATE_CONTAINERS) --update
	$(BIN)/memtool $(GATE_ACCESS) --update
	$(BIN)/memtool $(GATE_DEVICES) --update
	$(BIN)/memtool $(GATE_GRAPHS) --update
	$(BIN)/memtool $(GATE_FILES) --counters callgrind --update

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
	$(BIN)/python -m pytest --numprocesses auto tests/native/test_stress.py tests/native/test_passes.py tests/native/test_objects.py tests/native/test_containers.py tests/native/test_persistent.py tests/native/test_kernels.py tests/native/test_files.py tests/native/test_devices.py tests/native/test_graphs.py --sanitize

tsan: $(VENV)/developing
	$(BIN)/python -m pytest --numprocesses auto tests/native/test_locked.py tests/native/test_replays.py tests/native/test_counting.py --sanitize

# What asan and tsan drive. They build it themselves where it is missing; what has not changed is not compiled again.
drivers: export PATH := $(abspath $(BIN)):$(PATH)
drivers: $(VENV)/tools
	cmake --preset asan
	cmake --build --preset asan --parallel $(shell nproc)
	cmake --preset tsan
	cmake --build --preset tsan --parallel $(shell nproc)

# SECONDS=600 or OPERATIONS=100M: how long the first part goes on; a minute unless told. Then random graphs on every collector, GRAPH_OPERATIONS each;
# a persistent heap, killed 1,000 times and shared; the fuzzers, and kills with resume.
soak: $(VENV)/developing
	$(BIN)/python scripts/soak.py $(if $(OPERATIONS),--operations $(OPERATIONS)) $(if $(SECONDS),--seconds $(SECONDS))
	$(BIN)/python scripts/soak_graphs.py --operations $(or $(GRAPH_OPERATIONS),5M)
	$(BIN)/python scripts/persistent_heap.py
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

# The documentation site, in build/site/html: docs/, and a page for each allocator, workload, metric and command. A warning is an error.
SPHINX := $(BIN)/sphinx-build --quiet --nitpicky --fail-on-warning --keep-going
site: $(VENV)/developing
	$(BIN)/python scripts/site_pages.py build/site/source
	$(SPHINX) --builder html build/site/source build/site/html

# Links that lead out of the site, which needs a network.
links: $(VENV)/developing
	$(BIN)/python scripts/site_pages.py build/site/source
	$(SPHINX) --builder linkcheck build/site/source build/site/links

# Manual pages of memtool and of its commands, from what --help says: man -l build/man/memtool-bench.1
man: $(VENV)/developing
	$(BIN)/python scripts/man_pages.py build/man

# The source distribution and the wheel that is built from it, in dist/; then pip installs that into an empty environment, where the quickstart runs.
wheel: $(VENV)/developing
	rm -rf dist build/fresh
	$(BIN)/python -m build
	$(PYTHON) -m venv build/fresh
	build/fresh/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	build/fresh/bin/python scripts/try_installed.py

clean:
	rm -rf build dist $(VENV)

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

# What compiles the engine.
$(VENV)/tools: $(VENV)/bin/pip constraints.txt
	$(PIP) install --quiet --constraint constraints.txt scikit-build-core setuptools-scm
	$(PIP) install --quiet --constraint constraints.txt cmake ninja
	touch $@

$(VENV)/installed: $(VENV)/tools pyproject.toml
	$(PIP) uninstall --quiet --yes memtool  # as the distribution was called before it was memtool-bench
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable .
	touch $@

$(VENV)/developing: $(VENV)/installed
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev,docs]'
	touch $@
