#!/bin/bash
# Leads visitors to containers of these names from now on, and waits until what was under way has ended:
#
#     bash /etc/stratum-nginx/switch.sh FRONTEND BACKEND SECONDS
#
# nginx takes a new configuration without turning anybody away: workers of the old one answer what they have begun, and
# end. Those still busy after so many seconds (a stream of events has no end of its own) are counted, and left to it.
# (https://nginx.org/en/docs/control.html#reconfiguration)
set -eu

fail() {
    echo "$1" >&2
    exit 1
}

workers() { # of nginx: the children of its first process
    local master stat pid
    read -r master </tmp/nginx/nginx.pid
    for stat in /proc/[0-9]*/stat; do
        pid=${stat#/proc/}
        pid=${pid%/stat}
        if read -r stat <"/proc/$pid/stat"; then
            set -- ${stat##*) }
            if [ "$2" = "$master" ]; then echo "$pid"; fi
        fi 2>/dev/null
    done
}

render() { # FRONTEND BACKEND
    cat <<CONF
map "" \$frontend_host { default $1; }
map "" \$backend_host { default $2; }
CONF
}

write() { # FRONTEND BACKEND
    render "$1" "$2" >/tmp/nginx/upstreams.new
    mv /tmp/nginx/upstreams.new /tmp/nginx/upstreams.conf
}

if [ "${1:-}" = --write ]; then # by start.sh, before nginx is there
    write "$2" "$3"
    exit
fi

frontend=$1 backend=$2 patience=$3
for name in "$frontend" "$backend"; do
    case $name in '' | *[!A-Za-z0-9_.-]*) fail "this names no container: $name" ;; esac
done
(exec 3<>"/dev/tcp/$frontend/3000") 2>/dev/null || fail "nothing answers at $frontend:3000"
(exec 3<>"/dev/tcp/$backend/4001") 2>/dev/null || fail "nothing answers at $backend:4001"

fits() { nginx -e stderr -c /etc/stratum-nginx/nginx.conf -t -q; }

if ! fits; then
    # The files beside this one are those of another release already: nginx goes on with what it has loaded.
    if [ "$(cat /tmp/nginx/upstreams.conf)" = "$(render "$frontend" "$backend")" ]; then
        echo 0
        exit
    fi
    fail "nginx would not take the configuration that lies there now, and was not asked to"
fi
cp /tmp/nginx/upstreams.conf /tmp/nginx/upstreams.before
before=" $(workers | tr '\n' ' ')"
write "$frontend" "$backend"
if ! fits || ! nginx -e stderr -c /etc/stratum-nginx/nginx.conf -s reload; then
    mv /tmp/nginx/upstreams.before /tmp/nginx/upstreams.conf
    fail "nginx did not take its new configuration"
fi

SECONDS=0 busy=
while :; do
    busy=0 new=0
    for pid in $(workers); do
        case $before in *" $pid "*) busy=$((busy + 1)) ;; *) new=$((new + 1)) ;; esac
    done
    if [ "$new" -gt 0 ] && [ "$busy" -eq 0 ]; then break; fi
    if [ "$SECONDS" -ge "$patience" ]; then break; fi
    sleep 0.1
done
if [ "$new" -eq 0 ]; then
    mv /tmp/nginx/upstreams.before /tmp/nginx/upstreams.conf
    fail "nginx did not take its new configuration; what it said is in its log"
fi
rm -f /tmp/nginx/upstreams.before
echo "$busy"
