"""The text of the files a new stack begins with; `stack_files` fills them in."""

from __future__ import annotations

STRATUM_TOML = """# Everything Stratum knows about this stack; an unknown key is refused.
# All settings: docs/reference/settings.md

[stack]
name = "{name}"                # what you type to confirm
runtime = {runtime}

[database]
databases = {databases}     # guarded databases; the first is the application's
{place}

[archive]
{archive}
# failure_domain = "other-disk"  # declare what the kernel cannot see: same-disk, other-disk or other-host

[backup]
schedule = "0 1 * * *"         # when the agent takes a backup and then prunes; empty: never
timezone = "{timezone}"
digest = "full"                # full, sampled or counts
collapse_limit = 0.5           # a dump that lost more than this share of the rows is not called a backup

[retention]
keep_days = 14
keep_last = 3
daily = 0
weekly = 0
monthly = 0

[drill]
schedule = "0 3 * * *"         # when the agent restores the newest backup beside and compares it
smoke_sql = []                 # e.g. ["SELECT count(*) > 0 FROM accounts"]

[restore]
undo_window = "72h"            # how long what a restore replaced is kept

[commands]
{commands}

[notify]
urls = []                      # where alarms go, e.g. ["mailto://$USER:$PASS@example.org"], $NAMEs from .env
heartbeat_url = ""             # asked for after each backup, so that silence raises the alarm elsewhere

[console]
enabled = {console}         # whether `stratum up` starts the agent, the backend and the frontend
database = "stratum_console"   # their own database: users, sessions and their audit

[check]
accept = []                    # checklist lines whose risk you accept by name
"""

EMBEDDED = '"embedded"           # local processes, no Docker'
COMPOSE = '"compose"            # containers, by Docker Compose'
ARCHIVE = "path = {archive}             # put it on another disk: on the same one it dies with the data"
ARCHIVE_OF_COMPOSE = (
    "# its directory is BACKUP_DIR of .env: put it on another disk, on the same one it dies with the data"
)
NO_COMMANDS = """migrate = []                   # e.g. ["alembic", "upgrade", "head"]; DATABASE_URL is set for it
seed = []"""
CONSOLE_COMMANDS = """service = "backend"            # they run in a container of this service's image and settings
migrate = ["migrate"]          # the console's own; put yours here, e.g. ["npx", "prisma", "migrate", "deploy"]
seed = ["seed"]"""

ENV = """# Secrets of this stack, generated. Never commit this file.
POSTGRES_USER=stratum
POSTGRES_DB=stratum_db
POSTGRES_PORT={port}
{secrets}
"""

CONSOLE_ENV = """# The console. Its ports are wishes: a free one is taken where another program listens, and said.
FRONTEND_PORT=3000
BACKEND_PORT=4001
AGENT_PORT=4002
{secrets}
JWT_ACCESS_TTL=15m
JWT_REFRESH_TTL_MS=90d
AUTORUN_MIGRATIONS=true
SEED_ON_START=false
"""

GITIGNORE = """.env
.stratum/
archive/
"""

COMPOSE_ENV = """# Settings and secrets of this stack. Never commit this file; .env.example explains each line.
# A value with $, quotes, # or spaces stands between single quotes.
{variables}
"""

COMPOSE_GITIGNORE = """.env
secrets/
certificates/
docker/stratum/
"""

COMPOSE_MAKEFILE = """# Each target is one call of the command line.
STRATUM ?= stratum

.DEFAULT_GOAL := help
.PHONY: help build up up-all stop down logs ps status check migrate seed update \\
	rollback backup drill restore shell-backend shell-db

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the images
	$(STRATUM) build

up: ## start the stack, and wait until it serves
	$(STRATUM) up

up-all: ## the same with nginx in front
	$(STRATUM) up --all

stop: ## stop the containers; they and the data stay
	$(STRATUM) stop

down: ## remove the containers; the data stays
	$(STRATUM) down

logs: ## the end of a log: SERVICE=backend
	$(STRATUM) logs $(SERVICE)

ps: ## how each service stands
	$(STRATUM) ps

status: ## what would be lost now, and how long getting back takes
	$(STRATUM) status

check: ## the anti-panic checklist
	$(STRATUM) check

migrate: ## run the application's migrations
	$(STRATUM) migrate

seed: ## load the application's first data
	$(STRATUM) seed

update: ## back up, prove, build, stop, migrate, start, verify; back by itself
	$(STRATUM) update

rollback: ## back to the release before the last update
	$(STRATUM) rollback

backup: ## take a backup now
	$(STRATUM) backup

drill: ## prove the newest backup by restoring it beside
	$(STRATUM) drill

restore: ## bring the data back; FILE=… takes any pg_dump -Fc file
	$(STRATUM) restore $(if $(FILE),--file '$(FILE)')

shell-backend: ## a shell in the backend's container
	$(STRATUM) shell backend

shell-db: ## psql in the database
	$(STRATUM) shell db
"""

MAKEFILE = """# Each target is one call of the command line.
STRATUM ?= stratum

up stop down status check backup drill prune migrate seed logs:
\t$(STRATUM) $@

.PHONY: up stop down status check backup drill prune migrate seed logs
"""
