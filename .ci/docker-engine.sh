#!/usr/bin/env bash
# A Docker Engine with Compose and buildx on a bare Debian bookworm: root and apt, nothing else.
#
#   docker-engine.sh [DIRECTORY]             bring one up, or find the one that runs; then source DIRECTORY/env
#   docker-engine.sh --answers [DIRECTORY]   does one answer already?
#   docker-engine.sh --end [DIRECTORY]       end the one that this script started in DIRECTORY, if any
#
# All of it lies under DIRECTORY (/var/tmp/stratum-docker), and the machine's own packages stay as they are but
# for iptables and perl, where they are missing. A second run finds everything in its place and takes a second.
set -euo pipefail

verb=--up
case ${1:-} in --*) verb=$1 && shift ;; esac
directory=$(realpath -m "${1:-/var/tmp/stratum-docker}")
bin=$directory/bin
tree=$directory/tree
pid_file=$directory/run/docker.pid
own_socket=$directory/run/docker.sock
# What has to stand before a person's own PATH: nothing, where Docker is installed.
path=

# Of a newer Debian, whose engine wants no newer C library than bookworm's; its runc does.
engine_packages=(docker.io docker-cli docker-compose docker-buildx containerd tini)
bookworm_packages=(runc mmdebstrap)

say() { printf '%s\n' "docker-engine: $*"; }
refuse() { printf '%s\n' "docker-engine: $*" >&2; exit 1; }

# For at most `$1` seconds.
wait_until() {
  local rounds=$(($1 * 10))
  while [ "$rounds" -gt 0 ]; do
    if "${@:2}"; then return 0; fi
    sleep 0.1
    rounds=$((rounds - 1))
  done
  return 1
}

answers() { docker version >/dev/null 2>&1; }
is_complete() { answers && docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; }

# --- what runs already ------------------------------------------------------------------------------------

# The sockets of the engines in this network namespace, our own among them, one a line.
list_sockets() {
  local process here
  here=$(readlink /proc/self/ns/net)
  for process in /proc/[0-9]*; do
    [ "$(cat "$process/comm" 2>/dev/null)" = dockerd ] || continue
    [ "$(readlink "$process/ns/net")" = "$here" ] || continue
    tr '\0' '\n' <"$process/cmdline" | grep -o 'unix://.*' || echo unix:///var/run/docker.sock
  done
}

# Two engines in one network namespace take each other's address translation away, so there is never a second.
find_engine() {
  local socket
  for socket in "unix://$own_socket" $(list_sockets); do
    export DOCKER_HOST=$socket
    ! answers || return 0
  done
  unset DOCKER_HOST
  return 1
}

refuse_a_second() {
  local sockets
  sockets=$(list_sockets)
  [ -z "$sockets" ] || refuse "an engine runs at ${sockets//$'\n'/ } and does not answer; end it, or make it answer"
}

# --- programs ---------------------------------------------------------------------------------------------

install_missing() {
  local package missing=()
  for package in iptables perl; do
    dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  say "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# The mirror that this machine's own apt uses, whatever its name is.
print_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | sed -n 1p
}

# An apt of its own, which sees both releases and leaves the machine's lists and cache alone.
write_apt_settings() {
  local release mirror=$1
  mkdir -p "$directory"/apt/{lists,cache/archives}/partial
  for release in bookworm trixie; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main"
  done >"$directory/apt/sources.list"
  cat >"$directory/apt/apt.conf" <<A
Dir::Etc::sourcelist "$directory/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$directory/apt/lists";
Dir::Cache "$directory/apt/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
A
}

fetch_programs() {
  [ ! -e "$bin/.complete" ] || return 0
  say "fetching the engine's packages"
  local package mirror
  install_missing
  mirror=$(print_mirror)
  [ -n "$mirror" ] || { apt-get update -qq && mirror=$(print_mirror); }
  [ -n "$mirror" ] || refuse "apt knows of no mirror of bookworm"
  mkdir -p "$bin" "$tree" "$directory"/{debs,config/cli-plugins}
  write_apt_settings "$mirror"
  (
    cd "$directory/debs"
    export APT_CONFIG=$directory/apt/apt.conf
    apt-get update -qq
    apt-get download -qq "${engine_packages[@]/%//trixie}" "${bookworm_packages[@]/%//bookworm}"
  )
  for package in "$directory"/debs/*.deb; do dpkg -x "$package" "$tree"; done
  ln -sf "$tree"/usr/bin/* "$tree"/usr/sbin/* "$bin/"
  ln -sf "$tree/usr/bin/tini-static" "$bin/docker-init"
  ln -sf "$tree"/usr/libexec/docker/cli-plugins/* "$directory/config/cli-plugins/"
  rm -rf "$directory/debs" "$directory/apt"
  touch "$bin/.complete"
}

use_own_programs() {
  fetch_programs
  export PATH=$bin:$PATH DOCKER_CONFIG=$directory/config
  path=$bin:
}

# --- the engine -------------------------------------------------------------------------------------------

start_engine() {
  refuse_a_second
  say "starting an engine"
  export DOCKER_HOST=unix://$own_socket
  mkdir -p "$directory/run"
  rm -f "$pid_file"
  setsid nohup dockerd --data-root "$directory/data" --exec-root "$directory/run/exec" --pidfile "$pid_file" \
    --host "$DOCKER_HOST" >"$directory/run/dockerd.log" 2>&1 </dev/null &
  wait_until 30 answers || { tail -n 20 "$directory/run/dockerd.log" >&2; refuse "the engine did not start"; }
}

# Whether the number in the file is still that of an engine of ours: numbers are given again.
owns_process() {
  [ "$(cat "/proc/$1/comm" 2>/dev/null)" = dockerd ] && grep -qzxF -- "$directory/data" "/proc/$1/cmdline"
}

end_engine() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) || return 0
  owns_process "$pid" || return 0
  kill -TERM "$pid"
  has_ended() { ! owns_process "$pid"; }
  # It stops its containers first, each in its own time.
  wait_until 60 has_ended || refuse "the engine (process $pid) does not end; see $directory/run/dockerd.log"
  say "the engine has ended"
}

# --- the one image that all others are built from ---------------------------------------------------------

# The machine's own certificate authorities go in, so that apt, pip and npm trust in a build whom they trust here.
print_base_tree() {
  TMPDIR=$directory/tmp "$tree/usr/bin/mmdebstrap" --quiet --variant=minbase --include=ca-certificates \
    --aptopt='Acquire::Languages "none"' --aptopt='APT::Sandbox::User "root"' \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/locale/locale.alias' \
    --essential-hook='mkdir -p "$1/usr/local/share/ca-certificates"' \
    --essential-hook='find /usr/local/share/ca-certificates -name "*.crt" -exec cp {} "$1/usr/local/share/ca-certificates/" ";"' \
    --customize-hook='chroot "$1" update-ca-certificates >/dev/null 2>&1' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin; : >"$1/etc/resolv.conf"' \
    bookworm - "$(print_mirror)"
}

make_base_image() {
  ! docker image inspect debian:bookworm-slim >/dev/null 2>&1 || return 0
  # Where there is a registry, the image is to be had, and needs neither root nor apt.
  ! docker pull --quiet debian:bookworm-slim >/dev/null 2>&1 || return 0
  say "making debian:bookworm-slim"
  fetch_programs
  mkdir -p "$directory/tmp"
  print_base_tree | docker import --change 'CMD ["bash"]' - debian:bookworm-slim >/dev/null
}

# --- the verbs --------------------------------------------------------------------------------------------

write_env() {
  {
    printf 'export PATH=%q$PATH DOCKER_BUILDKIT=1\n' "$path"
    [ -z "${DOCKER_HOST:-}" ] || printf 'export DOCKER_HOST=%q\n' "$DOCKER_HOST"
    [ -z "${DOCKER_CONFIG:-}" ] || printf 'export DOCKER_CONFIG=%q\n' "$DOCKER_CONFIG"
  } >"$directory/env"
}

bring_up() {
  mkdir -p "$directory"
  if ! is_complete; then
    [ "$(id -u)" -eq 0 ] || refuse "no Docker Engine with Compose and buildx answers, and only root may start one"
    grep -q '^VERSION_CODENAME=bookworm$' /etc/os-release || refuse "this is no Debian bookworm: install Docker yourself"
    use_own_programs
    find_engine || start_engine
  fi
  make_base_image
  write_env
  say "$(docker version --format 'Docker Engine {{.Server.Version}}'), Compose $(docker compose version --short)"
}

one_answers() {
  ! answers || return 0
  export PATH=$bin:$PATH
  find_engine
}

case $verb in
  --up) bring_up ;;
  --answers) one_answers ;;
  --end) end_engine ;;
  *) refuse "no such verb: $verb" ;;
esac
