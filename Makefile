# make demo · make test · make faults · make bench · make lint: each sets up what it needs.
.PHONY: pictures setup lint test test-sqlserver test-snapshots faults bench bench-drills bench-setup demo clean
PYTHON_RUN = .venv/bin/python
SCALE ?= tiny
SIZE ?= full

setup:
	@sh scripts/setup.sh

lint: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# one worker more than cores, for each waits a quarter of its time; four at most
test: lint
	$(PYTHON_RUN) -m pytest -n $$(($$(nproc) < 4 ? $$(nproc) + 1 : 4)) --dist loadfile --cov --cov-report=term:skip-covered

# the long campaigns: every moment and bit of tests/faults, 20 backups of each engine and mode under writers; an hour or two
faults: setup
	DRMGR_FAULTS=all $(PYTHON_RUN) -m pytest tests/faults -s
	DRMGR_FAULTS=all $(PYTHON_RUN) -m pytest tests/contract/test_instant.py -k saturated -s
	DRMGR_LIVE_ROUNDS=20 $(PYTHON_RUN) -m pytest tests/contract/demo/test_live.py

# The contract suite against real servers, which a JSON file names: docs/sqlserver.md.
test-sqlserver: setup
	@test -n "$(DRMGR_TEST_SQLSERVER)" || { echo "NOT RUN: there is no SQL Server to test. DRMGR_TEST_SQLSERVER names none; see docs/sqlserver.md" >&2; exit 2; }
	@test -r "$(DRMGR_TEST_SQLSERVER)" || { echo "NOT RUN: the file $(DRMGR_TEST_SQLSERVER) cannot be read" >&2; exit 2; }
	DRMGR_TEST_SQLSERVER="$(DRMGR_TEST_SQLSERVER)" $(PYTHON_RUN) -m pytest tests/contract/test_engines.py tests/contract/test_tables.py tests/contract/test_sqlserver_inplace.py -k sqlserver

# The documented snapshots of file systems, on real ones in files of this host: docs/files.md. KINDS="btrfs LVM ZFS" tries all.
KINDS ?= btrfs
test-snapshots: setup
	@test "$$(id -u)" = 0 || { echo "NOT RUN: only root makes and mounts file systems" >&2; exit 2; }
	@for kind in btrfs LVM ZFS; do case " $(KINDS) " in *" $$kind "*) ;; *) echo "NOT RUN: $$kind; name it in KINDS where the kernel has it" >&2;; esac; done
	DRMGR_SNAPSHOTS="$(KINDS)" $(PYTHON_RUN) -m pytest tests/snapshots/on_real_file_systems.py

# the reports' pages in the READMEs, from the tests' made-up hospital
pictures: setup
	PYTHONPATH=. $(PYTHON_RUN) scripts/pictures.py

# drmgr beside other tools, in turns; writes its tables into docs/benchmarks.md when SIZE is full. 20 minutes on two quiet cores.
bench: setup
	$(PYTHON_RUN) -m bench --size $(SIZE) $(if $(filter full,$(SIZE)),--write) $(ARGS)

# the whole hospital's drill beside the ten single ones, on a hospital that "drmgr demo --keep" left up in DIR
DIR ?= drmgr-demo
bench-drills: setup
	$(PYTHON_RUN) -m bench.alone $(DIR)/drmgr.yaml $(ARGS)

# the other tools' Debian packages; borgmatic comes from PyPI into an environment that each run makes and removes
bench-setup: setup
	@sh scripts/bench-setup.sh

demo: setup
	.venv/bin/drmgr demo --scale $(SCALE) $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
