# The two commands of the README, and what CI runs. Everything is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.DELETE_ON_ERROR:
.PHONY: sweep test fuzz same test-ceph test-cluster bench-cluster chaos lint format bench bench-search clean

sweep: $(VENV)/.installed
	$(BIN)/python sweeps/lookahead.py

# Two tests at a time, of which one at most starts Ray: see tests/conftest.py.
test: $(VENV)/.installed-test
	$(BIN)/python -m tests.browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder

# Odd input to every entry point: more of it than `make test` tries, and every row of tests/fuzz/bad_inputs.txt.
fuzz: $(VENV)/.installed-test
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-2000} OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/fuzz/test_fuzz.py

# Whether this tree does what another commit does: make same BASE=HEAD~1, with RTOL=1e-5 for a change of arithmetic.
same: $(VENV)/.installed-test
	$(BIN)/python -m tests.same --base "$(BASE)" $(if $(RTOL),--rtol $(RTOL))

test-ceph: $(VENV)/.installed-test
	apt-get update
	apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-mgr ceph-common
	$(BIN)/python -m pytest -m ceph

# Hosts in Linux namespaces, a Ray on them, Ceph and Prometheus: needs Linux, root, and installs what it needs from Debian.
test-cluster: $(VENV)/.installed-test
	for program in sshd ssh ip rsync sshfs prometheus radosgw setpriv nsenter cc; do PATH="$$PATH:/usr/sbin" command -v $$program > /dev/null || missing=1; done; \
	if [ -n "$$missing" ]; then apt-get update && apt-get install -y --no-install-recommends openssh-server openssh-client iproute2 rsync sshfs \
		prometheus util-linux procps gcc libc6-dev radosgw ceph-mon ceph-osd ceph-mgr ceph-common; fi
	$(BIN)/python -m tests.browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m cluster -s tests/cluster

# On the same hosts: from the command to the first step, and trials a minute on one, two and three nodes.
bench-cluster: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.cluster

# CHAOS_SEED=N repeats a run, CHAOS_KILLS=N makes it longer or shorter than 100 kills; writes docs/chaos.md.
chaos: $(VENV)/.installed-test
	command -v radosgw || { apt-get update && apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-mgr ceph-common; }
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'chaos or memory' -s tests/leadline/engine/test_memory.py tests/chaos

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

# How well a search decides, on simulated sweeps: at most half an hour on 2 cores.
bench-search: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.search
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.search --workers 16 --trainings 100 --seeds 10

clean:
	rm -rf $(VENV) .same build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# What is missing is said in one line; `python -m venv` would say more, and leave a .venv without pip.
$(VENV)/bin/python:
	@command -v $(PYTHON) > /dev/null || \
		{ echo '$(PYTHON) is not found: Python 3.11 or later is needed, make PYTHON=... names it' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, $(PYTHON) is " \
		+ sys.version.split()[0] + ": make PYTHON=... names another")'
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
		{ echo '$(PYTHON) has no venv module, which is needed (Debian: apt-get install python3-venv)' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[test]'
	touch $@ $(VENV)/.installed
