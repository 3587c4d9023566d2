#!/usr/bin/env bash
# Builds lbctl_VERSION_ARCH.deb: a virtual environment of its own under /opt/lbctl, units, man pages, completion.
# Usage: deploy/deb/build.sh OUTPUT_DIRECTORY    (on the distribution and architecture that it is for; no root needed)
# COMPRESS: what dpkg-deb takes as -Z (xz; none is quick, for tests).
# PYTHON: the distribution's Python 3.11 or newer with venv. PIP: a pip >= 22.3 that can install for another Python.
set -euo pipefail
umask 022 # what is packed must be readable, whoever builds it
out=$(mkdir -p "${1:?usage: build.sh OUTPUT_DIRECTORY}" && cd "$1" && pwd)
cd "$(dirname "$0")/../.."
python=${PYTHON:-/usr/bin/python3}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
home=$root/opt/lbctl

"$python" -m venv --without-pip --symlinks "$home"
read -ra pip <<<"${PIP:-$python -m pip}"
"${pip[@]}" --python "$home/bin/python" install --quiet --disable-pip-version-check --no-compile .
minor=$("$home/bin/python" -c 'import sys; print(sys.version_info.minor)')
version=$("$home/bin/python" -c 'from lbctl.about import VERSION; print(VERSION)')

share=$root/usr/share
mkdir -p "$root"/usr/bin "$root"/lib/systemd/system "$root"/usr/lib/sysusers.d "$root"/etc/lbctl "$root"/DEBIAN "$root"/usr/lib/systemd/catalog \
    "$share"/man/man1 "$share"/man/man8 "$share"/doc/lbctl/examples \
    "$share"/bash-completion/completions "$share"/zsh/vendor-completions "$share"/fish/vendor_completions.d
"$home/bin/python" -m lbctl.cli.manual lbctl | gzip -9n >"$share/man/man1/lbctl.1.gz"
"$home/bin/python" -m lbctl.cli.manual lbctld | gzip -9n >"$share/man/man8/lbctld.8.gz"
"$home/bin/python" -m lbctl.cli completion bash >"$share/bash-completion/completions/lbctl"
"$home/bin/python" -m lbctl.cli completion zsh >"$share/zsh/vendor-completions/_lbctl"
"$home/bin/python" -m lbctl.cli completion fish >"$share/fish/vendor_completions.d/lbctl.fish"

# What was installed names the directory in which it was built.
grep -rlIZ --exclude='*.pyc' -e "$root" "$home/bin" "$home/pyvenv.cfg" | xargs -0r sed -i "s#$root##g"
rm -rf "$home"/lib/python3."$minor"/site-packages/*.dist-info/direct_url.json "$home"/bin/[Aa]ctivate*
"$python" -m compileall -q -s "$root" -p / --invalidation-mode unchecked-hash "$home/lib"

ln -s /opt/lbctl/bin/lbctl /opt/lbctl/bin/lbctld "$root/usr/bin/"
install -m 644 systemd/lbctl.service systemd/lbctl.socket "$root/lib/systemd/system/"
install -m 644 systemd/sysusers.conf "$root/usr/lib/sysusers.d/lbctl.conf"
# systemd's own package sees it come and updates its catalogue.
install -m 644 systemd/lbctl.catalog "$root/usr/lib/systemd/catalog/"
# Envoy's unit is an example only: one that came with the package would go with it, and Envoy not start at the next boot.
install -m 644 config/*.yaml systemd/lbctl-envoy.service deploy/prometheus/alerts.yml deploy/grafana/dashboard.json \
    "$share/doc/lbctl/examples/"
install -m 644 README.md CHANGELOG.md "$share/doc/lbctl/"
# The pages that findings and errors name, for a host without a browser; the links between them stay whole.
(cd docs && find . -name '*.md' -exec install -D -m 644 {} "$share/doc/lbctl/docs/{}" \;)
install -m 644 LICENSE "$share/doc/lbctl/copyright"
install -m 755 deploy/deb/postinst deploy/deb/prerm deploy/deb/postrm "$root/DEBIAN/"
cat >"$root/DEBIAN/control" <<CONTROL
Package: lbctl
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: The lbctl authors <root@localhost>
Section: admin
Priority: optional
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), systemd (>= 247)
Recommends: haproxy (>= 2.6)
Installed-Size: $(du -sk "$root" | cut -f1)
Description: blue/green releases behind HAProxy or Envoy, without downtime
 lbctld watches the blue and green pools of your services, moves traffic from
 the active pool to the candidate in steps, drains sessions and work in flight,
 and goes back by itself when errors rise. It is never in the request path.
CONTROL
find "$root" -exec touch -hd "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}" {} +
package=$out/lbctl_${version}_$(dpkg --print-architecture).deb
dpkg-deb -Z"${COMPRESS:-xz}" --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
