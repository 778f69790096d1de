#!/usr/bin/env bash
# What the official postgres image promises of its entrypoint, written anew from its description.
#
# On an empty data directory it makes a cluster of POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, and runs
# what lies in /docker-entrypoint-initdb.d while nobody can reach the server but over its socket. On any other
# directory it changes nothing. Then, or for any other command, it becomes that command.

# No stricter than the official one, and no other way to expand names: scripts are run by this very shell.
set -Eeo pipefail

say() { printf 'entrypoint: %s\n' "$*"; }
refuse() { printf 'entrypoint: %s\n' "$*" >&2; exit 1; }

# A setting, or what the file named by its _FILE form holds: secrets come as files.
read_setting() {
  local name=$1 otherwise=${2:-} file="${1}_FILE"
  [ -z "${!name:-}" ] || [ -z "${!file:-}" ] || refuse "both $name and $file are set: give one of them"
  local value=${!name:-$otherwise}
  [ -z "${!file:-}" ] || value=$(<"${!file}")
  export "$name=$value"
  unset "$file"
}

read_settings() {
  read_setting POSTGRES_PASSWORD
  read_setting POSTGRES_USER postgres
  read_setting POSTGRES_DB "$POSTGRES_USER"
  read_setting POSTGRES_INITDB_ARGS
  : "${POSTGRES_HOST_AUTH_METHOD:=}"
}

# --help and the like print something and end: no cluster is made for them.
wants_a_server() {
  [ "${1:-}" = postgres ] || return 1
  local argument
  for argument; do
    case $argument in '-?' | --help | --describe-config | -V | --version) return 1 ;; esac
  done
}

prepare_directories() {
  mkdir -p "$PGDATA"
  chmod 0700 "$PGDATA" || :
  # Another account than root may find the socket's directory made by somebody else already.
  mkdir -p /var/run/postgresql || :
  chmod 3777 /var/run/postgresql || :
  [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || mkdir -p "$POSTGRES_INITDB_WALDIR"
  [ "$(id -u)" -eq 0 ] || return 0
  find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
  find /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
  [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || chown -R postgres "$POSTGRES_INITDB_WALDIR"
}

has_cluster() { [ -s "$PGDATA/PG_VERSION" ]; }

# From 18 on the data lies one level deeper: what an older image wrote would be passed over in silence.
refuse_data_of_the_old_layout() {
  [ "$PGDATA" = "/var/lib/postgresql/$PG_MAJOR/docker" ] || return 0
  local directory
  for directory in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
    [ ! -s "$directory/PG_VERSION" ] || refuse "$directory holds a database that $PGDATA would hide; upgrade it first"
  done
  ! mountpoint -q /var/lib/postgresql/data \
    || refuse "a volume is mounted at /var/lib/postgresql/data, where nothing is kept from 18 on; mount its parent"
}

refuse_no_password() {
  [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ] || return 0
  refuse "the database is not initialised and no superuser password is given: set POSTGRES_PASSWORD"
}

# initdb wants its account to have a name, which an arbitrary --user has not.
lend_a_name() {
  ! getent passwd "$(id -u)" >/dev/null || return 0
  local library
  for library in /usr/lib/*/libnss_wrapper.so; do
    [ -e "$library" ] || continue
    NSS_WRAPPER_PASSWD=$(mktemp)
    NSS_WRAPPER_GROUP=$(mktemp)
    printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" >"$NSS_WRAPPER_PASSWD"
    printf 'postgres:x:%s:\n' "$(id -g)" >"$NSS_WRAPPER_GROUP"
    export LD_PRELOAD=$library NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    return 0
  done
}

take_the_name_back() {
  [ -n "${NSS_WRAPPER_PASSWD:-}" ] || return 0
  rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
  unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
}

make_cluster() {
  local -a wal=()
  [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || wal=(--waldir "$POSTGRES_INITDB_WALDIR")
  lend_a_name
  # The arguments are written as on a command line, quotes and all.
  eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") "${wal[@]}" '"$POSTGRES_INITDB_ARGS"
  take_the_name_back
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "${@:2}")}" \
    >>"$PGDATA/pg_hba.conf"
}

run_sql() {
  PGHOST='' PGHOSTADDR='' psql --no-psqlrc --username "$POSTGRES_USER" --no-password --set ON_ERROR_STOP=1 "$@"
}

make_database() {
  local found
  found=$(run_sql --dbname postgres --set "db=$POSTGRES_DB" --tuples-only \
    <<<"SELECT 1 FROM pg_database WHERE datname = :'db'")
  [ -n "$found" ] || run_sql --dbname postgres --set "db=$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
}

run_initdb_file() {
  say "running $1"
  case $1 in
    *.sh) if [ -x "$1" ]; then "$1"; else . "$1"; fi ;;
    *.sql) run_sql --dbname "$POSTGRES_DB" --file "$1" ;;
    *.sql.gz) gzip -dc "$1" | run_sql --dbname "$POSTGRES_DB" ;;
    *.sql.xz) xz -dc "$1" | run_sql --dbname "$POSTGRES_DB" ;;
    *.sql.zst) zstd -dcq "$1" | run_sql --dbname "$POSTGRES_DB" ;;
    *) say "passing over $1" ;;
  esac
}

fill_cluster() {
  local file
  export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
  # Nobody takes this server for the finished one: it listens on its socket only.
  PGUSER=${PGUSER:-$POSTGRES_USER} pg_ctl -D "$PGDATA" -w start \
    -o "$(printf '%q ' "${@:2}" -c "listen_addresses=" -p "${PGPORT:-5432}")"
  make_database
  for file in /docker-entrypoint-initdb.d/*; do [ ! -e "$file" ] || run_initdb_file "$file"; done
  PGUSER=${PGUSER:-postgres} pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  say "the database is initialised"
}

main() {
  case ${1:-} in -*) set -- postgres "$@" ;; esac
  if wants_a_server "$@"; then
    read_settings
    prepare_directories
    if [ "$(id -u)" -eq 0 ]; then
      export HOME=/var/lib/postgresql
      exec setpriv --reuid postgres --regid postgres --init-groups "${BASH_SOURCE[0]}" "$@"
    fi
    if has_cluster; then
      say "$PGDATA holds a database already: nothing is initialised"
    else
      refuse_data_of_the_old_layout
      refuse_no_password
      make_cluster "$@"
      fill_cluster "$@"
    fi
  fi
  exec "$@"
}

main "$@"
