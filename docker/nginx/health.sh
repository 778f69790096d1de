#!/bin/bash
# Whether nginx answers; the image need hold no program that fetches pages, as bash opens a connection itself.
set -eu
exec 3<>/dev/tcp/127.0.0.1/8080
printf 'HEAD / HTTP/1.0\r\n\r\n' >&3
read -r -t 3 line <&3
case $line in
'HTTP/1.1 308'*) ;;
*) exit 1 ;;
esac
