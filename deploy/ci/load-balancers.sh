#!/usr/bin/env bash
# Make sure that a real HAProxy is there for the tests. Envoy comes with the Python environment.
# Usage: load-balancers.sh yes|no   (no: leave the system alone; the tests then skip and say why)
set -euo pipefail
if command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ]; then exit 0; fi
if [ "${1:-yes}" = no ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "haproxy is not installed: its tests are skipped (apt-get install haproxy)" >&2
    exit 0
fi
echo "installing haproxy by apt for the tests (SYSTEM=no leaves the system alone)" >&2
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends haproxy >&2
