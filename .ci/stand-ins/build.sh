#!/usr/bin/env bash
# Builds the stand-ins for the official images from the local debian:bookworm-slim, for machines without a registry.
#
#   build.sh [MAJOR...]    python, nginx and these PostgreSQL majors; without arguments all of them
#
# An image of such a name that is no stand-in stays as it is, and is used as it is.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

declare -A releases=([14]=14.23 [15]=15.19 [16]=16.15 [17]=17.11 [18]=18.6)

# The real image of this name, which a person's machine may hold, is better than a stand-in for it.
is_the_real_one() {
  local mark
  mark=$(docker image inspect --format '{{index .Config.Labels "stratum.stand-in"}}' "$1" 2>/dev/null) || return 1
  [ "$mark" != yes ]
}

build() {
  local tag=$1 context=$2
  if is_the_real_one "$tag"; then
    printf 'kept %s, which is no stand-in\n' "$tag"
    return
  fi
  docker build --quiet --label stratum.stand-in=yes --tag "$tag" "${@:3}" "$here/$context" >/dev/null
  printf 'built %s\n' "$tag"
}

build_postgres() {
  local major=$1 volume=/var/lib/postgresql/data data=/var/lib/postgresql/data
  if [ "$major" -ge 18 ]; then
    volume=/var/lib/postgresql
    data=/var/lib/postgresql/$major/docker
  fi
  build "postgres:$major-bookworm" postgres --build-arg "PG_MAJOR=$major" \
    --build-arg "POSTGRES_VERSION=${releases[$major]}" --build-arg "PGDATA=$data" --build-arg "DATA_VOLUME=$volume"
}

wait_for() {
  local failed=0 job
  for job; do wait "$job" || failed=1; done
  return "$failed"
}

majors=("$@")
[ "$#" -gt 0 ] || majors=(16 14 15 17 18)
for major in "${majors[@]}"; do
  [ -n "${releases[$major]:-}" ] || { printf 'no stand-in for PostgreSQL %s\n' "$major" >&2; exit 2; }
done

# The others' builds fetch with this one's pip.
build python:3.12-slim-bookworm python
# The first major makes the layers that the others share.
build_postgres "${majors[0]}"
jobs=()
for major in "${majors[@]:1}"; do
  build_postgres "$major" &
  jobs+=($!)
done
build nginx:1.28-bookworm nginx &
wait_for "${jobs[@]}" "$!"
