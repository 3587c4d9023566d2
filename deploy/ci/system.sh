#!/usr/bin/env bash
# Make sure that what the tests need of the system is there: a real HAProxy, a real Chromium, the shells of completion.
# Envoy comes with the Python environment. Usage: system.sh yes|no   (no: leave the system alone; the tests then skip and say why)
set -euo pipefail
PATH="$PATH:/usr/sbin"
missing=()
for name in haproxy chromium zsh fish; do
    command -v "$name" >/dev/null || missing+=("$name")
done
if [ "${#missing[@]}" = 0 ]; then exit 0; fi
if [ "${1:-yes}" = no ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed, its tests are skipped: ${missing[*]} (apt-get install ${missing[*]})" >&2
    exit 0
fi
echo "installing ${missing[*]} by apt for the tests (SYSTEM=no leaves the system alone)" >&2
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
