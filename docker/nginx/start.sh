#!/bin/sh
# Looks at the certificate and its key, writes what only the environment knows, and becomes nginx.
set -eu

fail() {
    printf 'error: %s\ndata:  untouched; only the way in over TLS is closed\nnext:  %s\n' "$1" "$2" >&2
    exit 1
}

readable() { # FILE NAME: the account this runs as has to be able to read it
    [ -f "$1" ] || fail "$2 of .env names no file" "put one there, or make a pair for a first try: stratum init --self-signed"
    [ -r "$1" ] || fail "account $(id -u) may not read the file $2 of .env names" \
        "give it to that account: chown $(id -u):$(id -g), mode 0600"
}

readable /run/tls/certificate.pem NGINX_CERT_PATH
readable /run/tls/key.pem NGINX_KEY_PATH

port=${NGINX_HTTPS_PORT:-443}
case $port in
'' | *[!0-9]*) fail "NGINX_HTTPS_PORT is $port, which is no port" "put a number such as 443 into .env" ;;
443) suffix='' security='max-age=31536000' ;;
# A browser that was told to use TLS only does so on every port of the host; here others may speak plain HTTP.
*) suffix=":$port" security='' ;;
esac

mkdir -p /tmp/nginx
cat >/tmp/nginx/published.conf <<CONF
map "" \$https_port { default "$suffix"; }
map "" \$transport_security { default "$security"; }
CONF

case $(nginx -v 2>&1) in
*nginx/1.[0-9].* | *nginx/1.1[0-9].* | *nginx/1.2[0-4].* | *nginx/1.25.0*) echo 'listen 8443 ssl http2 default_server;' ;;
*) echo 'listen 8443 ssl default_server; http2 on;' ;;
esac >/tmp/nginx/listen.conf

# Whom visitors are led to; an update without downtime leads them elsewhere for a while.
bash /etc/stratum-nginx/switch.sh --write frontend backend

exec nginx -e stderr -c /etc/stratum-nginx/nginx.conf -g 'daemon off;'
