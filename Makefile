# Every command a contributor or the CI needs; `make` alone lists them.
# Only `python3 -m venv`, pip and make have to be on the machine.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tests start their own PostgreSQL servers: more workers than this make a small machine thrash.
WORKERS ?= 2
PYTEST_ARGS ?=

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
CREATED := $(VENV)/.created
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
ASSETS := src/stratum/frontend/static/vendor/pins.sha256
CATALOGUES := $(patsubst %.po,%.mo,$(wildcard src/stratum/locale/*/LC_MESSAGES/*.po))

.DEFAULT_GOAL := help
.PHONY: help install install-runtime messages assets demo test lint format types ci bench torture docs lock wheel clean
.DELETE_ON_ERROR:

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The stack of this checkout on Docker: each target is one call of the command line.
STRATUM := $(BIN)/stratum
BACKUP_DIR ?= /opt/stratum_backups

.PHONY: init build up up-all stop down logs ps status check migrate seed update rollback backup drill restore \
	shell-backend shell-db

init: install-runtime ## lay down .env with generated secrets, stratum.toml and the archive (BACKUP_DIR=…)
	$(STRATUM) init --runtime compose --name stratum --archive '$(BACKUP_DIR)' .

build: install-runtime ## build the images
	$(STRATUM) build

up: install-runtime ## start the stack, and wait until it serves
	$(STRATUM) up

up-all: install-runtime ## the same with nginx in front
	$(STRATUM) up --all

stop: install-runtime ## stop the containers; they and the data stay
	$(STRATUM) stop

down: install-runtime ## remove the containers; the data stays
	$(STRATUM) down

logs: install-runtime ## the end of a log (SERVICE=backend)
	$(STRATUM) logs $(SERVICE)

ps: install-runtime ## how each service stands
	$(STRATUM) ps

status: install-runtime ## what would be lost now, and how long getting back takes
	$(STRATUM) status

check: install-runtime ## the anti-panic checklist
	$(STRATUM) check

migrate: install-runtime ## run the application's migrations
	$(STRATUM) migrate

seed: install-runtime ## load the application's first data
	$(STRATUM) seed

update: install-runtime ## back up, prove, build, stop, migrate, start, verify; back by itself
	$(STRATUM) update

rollback: install-runtime ## back to the release before the last update
	$(STRATUM) rollback

backup: install-runtime ## take a backup now
	$(STRATUM) backup

drill: install-runtime ## prove the newest backup by restoring it beside
	$(STRATUM) drill

restore: install-runtime ## bring the data back (FILE=… takes any pg_dump -Fc file)
	$(STRATUM) restore $(if $(FILE),--file '$(FILE)')

shell-backend: install-runtime ## a shell in the backend's container
	$(STRATUM) shell backend

shell-db: install-runtime ## psql in the database
	$(STRATUM) shell db

install: $(DEV) messages assets ## install Stratum and the tools to work on it into .venv

install-runtime: $(RUNTIME) messages assets ## install only what Stratum needs to run

messages: $(CATALOGUES) ## compile the message catalogues that changed

assets: $(ASSETS) ## fetch the console's style sheet and scripts, as package-lock.json pins them

demo: install-runtime ## the whole story on a real PostgreSQL: back up, prove, lose, get back (KEEP=1 keeps it, with its console)
	$(BIN)/stratum demo $(if $(KEEP),--keep)

test: install ## run every test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

lint: install ## style, format and the arrows between the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: install ## put the source into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install ## check the types of source and tests, strictly
	$(BIN)/mypy

ci: lint types test ## what has to be green before a change lands

bench: install ## measure backup, drill and restore beside pg_dump and pg_restore
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.console
	$(BIN)/python -m benchmarks.updates
	if command -v docker >/dev/null; then $(BIN)/python -m benchmarks.containers && $(BIN)/python -m benchmarks.recovery; \
	else echo "no docker: not measured"; fi

torture: install ## the tests that take long: every plan cut after each of its steps, many times
	$(BIN)/python -m pytest -n $(WORKERS) -m torture $(PYTEST_ARGS)

docs: install ## write docs/reference and schemas again from the code
	$(BIN)/python -m stratum.cli.reference

wheel: install ## make the wheel and the source archive in dist/
	$(BIN)/hatchling build

# A stamp and not $(BIN)/python: that file is there also when the making of the environment failed half-way.
$(CREATED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Stratum needs Python 3.11 or newer: make PYTHON=python3.12, for example")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUNTIME): requirements/runtime.txt pyproject.toml hatch_build.py src/stratum/__init__.py | $(CREATED)
	$(PIP) install --quiet --require-hashes -r requirements/runtime.txt
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

$(ASSETS): package.json package-lock.json hatch_build.py | $(RUNTIME)
	$(BIN)/python hatch_build.py
	@touch $@

$(CATALOGUES): %.mo: %.po | $(RUNTIME)
	$(BIN)/pybabel --quiet compile --input-file $< --output-file $@

# The locks carry hashes and no address, so that they install from any mirror.
LOCK := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command "make lock"

lock: .venv-lock/bin/uv ## resolve the dependencies again and write the locks
	$(LOCK) --upgrade pyproject.toml --extra embedded --group build --output-file requirements/runtime.txt
	$(LOCK) --upgrade pyproject.toml --extra embedded --group build --group dev \
		--constraints requirements/runtime.txt --output-file requirements/dev.txt
	$(LOCK) --upgrade pyproject.toml --constraints requirements/runtime.txt --output-file requirements/images.txt
	$(LOCK) --upgrade requirements/lock.in --output-file requirements/lock.txt

.venv-lock/bin/uv: requirements/lock.txt
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --require-hashes -r requirements/lock.txt
	@touch $@

clean: ## remove what the other commands made, the virtual environments included
	rm -rf .venv .venv-lock build dist node_modules src/stratum/frontend/static/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
	find src -name '*.mo' -delete
