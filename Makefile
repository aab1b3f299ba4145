# make demo · make test · make faults · make lint: each sets up what it needs.
.PHONY: setup lint test test-sqlserver faults demo clean
PYTHON_RUN = .venv/bin/python
SCALE ?= tiny

setup:
	@sh scripts/setup.sh

lint: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

test: lint
	$(PYTHON_RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile --cov --cov-report=term:skip-covered

# the long campaigns: every moment and bit of tests/faults, 20 backups of each engine and mode under writers; an hour or two
faults: setup
	DRMGR_FAULTS=all $(PYTHON_RUN) -m pytest tests/faults -s
	DRMGR_LIVE_ROUNDS=20 $(PYTHON_RUN) -m pytest tests/contract/demo/test_live.py

# The contract suite against real servers, which a JSON file names: docs/sqlserver.md.
test-sqlserver: setup
	@test -n "$(DRMGR_TEST_SQLSERVER)" || { echo "NOT RUN: there is no SQL Server to test. DRMGR_TEST_SQLSERVER names none; see docs/sqlserver.md" >&2; exit 2; }
	@test -r "$(DRMGR_TEST_SQLSERVER)" || { echo "NOT RUN: the file $(DRMGR_TEST_SQLSERVER) cannot be read" >&2; exit 2; }
	DRMGR_TEST_SQLSERVER="$(DRMGR_TEST_SQLSERVER)" $(PYTHON_RUN) -m pytest tests/contract/test_engines.py -k sqlserver

demo: setup
	.venv/bin/drmgr demo --scale $(SCALE) $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
