#!/usr/bin/env bash
# What the official nginx image promises of its entrypoint, written anew from its description.
#
# Before nginx starts, each /etc/nginx/templates/NAME.template becomes /etc/nginx/conf.d/NAME with the values
# of the environment's variables in place of their names, and no other `$name` touched.
set -euo pipefail
shopt -s nullglob globstar

templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
target=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}

render_templates() {
  local names template relative
  names=$(compgen -e | grep -E "${NGINX_ENVSUBST_FILTER:-}" | sed 's/.*/${&}/' | tr '\n' ' ') || names=
  [ -d "$templates" ] || return 0
  for template in "$templates"/**/*"$suffix"; do
    relative=${template#"$templates"/}
    relative=${relative%"$suffix"}
    mkdir -p "$target/$(dirname "$relative")"
    envsubst "$names" <"$template" >"$target/$relative"
    printf 'entrypoint: %s is made of %s\n' "$target/$relative" "$template"
  done
}

run_parts() {
  local part
  for part in /docker-entrypoint.d/*.sh; do
    [ ! -x "$part" ] || "$part"
  done
}

case ${1:-} in nginx | nginx-debug) render_templates && run_parts ;; esac
exec "$@"
