#!/usr/bin/env bash
# Run ansible-test sanity on the collection in deploy/ansible, without a container and without leaving anything behind.
# Usage: ansible-sanity.sh [TEST...]   (none: all but pslint); ansible-test must be on PATH, pip must find its packages.
set -euo pipefail
collection="$(cd "$(dirname "$0")/../ansible" && pwd)"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/ansible_collections/lbctl" "$scratch/home/.ansible/test/cache"
cp -r "$collection" "$scratch/ansible_collections/lbctl/core"
cd "$scratch/ansible_collections/lbctl/core"
git init -q . && git add -A   # it looks at the files that git knows

# ansible-test fetches a script that installs pip; where that host cannot be reached, Python's own does as well.
pip_script() {
    printf 'import runpy, sys\nsys.argv = ["ensurepip", "--default-pip"]\nrunpy.run_module("ensurepip", run_name="__main__")\n'
}
for version in 21_3_1 24_2 25_2 25_3 26_0; do
    pip_script > "$scratch/home/.ansible/test/cache/get_pip_$version.py"
done

chosen=(--skip-test pslint)
if [ $# != 0 ]; then
    chosen=()
    for test in "$@"; do chosen+=(--test "$test"); done
fi
python="$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
HOME="$scratch/home" ansible-test sanity --local --color no --python "$python" "${chosen[@]}"
