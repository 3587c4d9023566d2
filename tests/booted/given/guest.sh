# Runs as root in the booted container. `is` prints one line for each thing that is as it should be, and ends at the first
# that is not.
set -euo pipefail
trap 'echo "ended at line $LINENO: $BASH_COMMAND"' ERR
cd /tmp
is() { if eval "$2"; then echo "ok $1"; else echo "NOT $1: $2"; journalctl -u lbctl -o cat -n 30 --no-pager || true; exit 1; fi; }
soon() { for _ in $(seq 200); do if eval "$2" 2>/dev/null; then echo "ok $1"; return; fi; sleep 0.2; done
    echo "NOT $1: $2"; eval "$2" || true; journalctl -u lbctl -o cat -n 30 --no-pager || true; exit 1; }
step() { lbctl status web --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["services"]["web"]["observed_share_bp"])'; }
release() { lbctl status web --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["services"]["web"]["phase"])'; }

# ---- install
rm -rf /var/lib/lbctl /etc/lbctl # what the host may have
ip link set lo up
dpkg -i /given/lbctl.deb 2>&1 | tee /tmp/installed
is "the package says what is to be done next" 'grep -q "lbctl config validate" /tmp/installed'
is "the user and the groups are there" 'id lbctl && getent group lbctl-admin'
is "the pages that findings name are there" 'test -r /usr/share/doc/lbctl/docs/reference/doctor.md'
is "the manual is there" 'man -w lbctl && man -w lbctld'
useradd --create-home eva && usermod -aG lbctl-admin eva
useradd --create-home tom
mkdir -p /srv/www && echo fine >/srv/www/healthz
for port in 8081 8082 8083 8091 8092 8093; do
    systemd-run -q --unit="toy$port" python3 -m http.server --bind 127.0.0.1 --directory /srv/www "$port"
done
install -m 640 -g lbctl /given/lbctl.yaml /etc/lbctl/lbctl.yaml
is "the config is valid" 'lbctl config validate --no-secrets /etc/lbctl/lbctl.yaml'
install -d -o lbctl -g lbctl -m 700 /var/lib/lbctl
runuser -u lbctl -- lbctl config render haproxy --config /etc/lbctl/lbctl.yaml --write-maps --active web=blue >/tmp/web.cfg
cat /given/haproxy.cfg /tmp/web.cfg >/etc/haproxy/haproxy.cfg
echo 'EXTRAOPTS="-S /run/haproxy-master.sock,mode,660,group,lbctl"' >/etc/default/haproxy
mkdir -p /run/haproxy
haproxy -c -f /etc/haproxy/haproxy.cfg
systemctl restart haproxy || { journalctl -u haproxy -o cat --no-pager -n 30; exit 1; }
systemctl enable -q --now lbctl.socket lbctl || { systemctl status --no-pager -l lbctl.socket lbctl || true; ls -la /run/lbctl || true; journalctl -u lbctl -u lbctl.socket --no-pager -n 30; exit 1; }
is "lbctld is ready (Type=notify)" '[ "$(systemctl is-active lbctl)" = active ]'
is "it says what it does" 'systemctl show lbctl -p StatusText | grep "1 services at rest"'
soon "it reads HAProxy" 'lbctl status web --json | grep -q "\"reachable\": true"'

# ---- who may do what
soon "root adopts" 'lbctl adopt web --active blue --version 1.0.0'
is "whoever is in no group is told which one helps" \
    '! runuser -u tom -- lbctl status web >/tmp/refused 2>&1 && grep -q "join the group lbctl-admin" /tmp/refused'
is "a member of it may look" 'runuser -u eva -- lbctl status web >/dev/null'

# ---- a release under load
systemd-run -q --unit=users -p StandardOutput=file:/given/users python3 /given/users.py
is "a member of the group releases" 'runuser -u eva -- lbctl switch web --version 2.0.0 --wait --timeout 60s'
soon "it ends, and the journal has it" 'journalctl -u lbctl -o cat --no-pager | grep -q release.finished'
is "and explains it" 'journalctl -u lbctl -x --no-pager | grep "The release ended with the new pool active" >/dev/null'
number=$(/opt/lbctl/bin/python -c 'from lbctl.daemon.message_ids import MESSAGE_IDS; print(MESSAGE_IDS["release.finished"])')
is "and finds it by its number" 'journalctl MESSAGE_ID="$number" -o cat --no-pager | grep -q release.finished'
is "whoever helps gets all of it in one file" 'lbctl support --to /tmp/support.tar.gz >/tmp/supported &&
    tar xzOf /tmp/support.tar.gz --wildcards "*/journal.txt" | grep -q release.finished &&
    tar xzOf /tmp/support.tar.gz --wildcards "*/unit.txt" | grep -q ActiveState=active'

# ---- restarts
runuser -u eva -- lbctl switch web --version 3.0.0 --hold 1h
soon "the next one is at its first step" '[ "$(step)" = 5000 ]'
systemctl restart lbctl &
sleep 0.1
is "who calls while it restarts is answered" 'lbctl status web'
wait
is "the release goes on after a restart" '[ "$(release)" = shifting ] && [ "$(step)" = 5000 ]'
is "tokens and socket lie where they were" 'ls -d /run/lbctl/tokens && [ -S /run/lbctl/control.sock ]'
systemctl reload lbctl
is "a reload leaves it active" '[ "$(systemctl is-active lbctl)" = active ]'
echo "nonsense: [" >>/etc/lbctl/lbctl.yaml
is "a reload with a bad config fails" '! systemctl reload lbctl'
soon "a bad config is refused, and status says so" 'systemctl show lbctl -p StatusText | grep refused'
is "the old one stays" '[ "$(systemctl is-active lbctl)" = active ] && [ "$(step)" = 5000 ]'
sed 's,^daemon: {,&dashboard: /run/lbctl/dash.sock| ,;s,|,\,,' /given/lbctl.yaml >/etc/lbctl/lbctl.yaml
is "so does one with a valid config that needs a restart, and says so" \
    'lbctl config validate --no-secrets /etc/lbctl/lbctl.yaml && ! systemctl reload lbctl &&
    journalctl -u lbctl -o cat -n 20 --no-pager | grep "why .*dashboard cannot change while lbctl runs; restart lbctld"'
install -m 640 -g lbctl /given/lbctl.yaml /etc/lbctl/lbctl.yaml
systemctl reload lbctl
is "a good one is in force" '! lbctl doctor | grep -q CONFIG_REFUSED'
mkdir -p /etc/systemd/system/lbctl.service.d
printf '[Service]\nWatchdogSec=3\n' >/etc/systemd/system/lbctl.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart lbctl
before=$(systemctl show lbctl -p MainPID --value)
kill -STOP "$before"
soon "a daemon that hangs is killed by the watchdog and started anew" \
    '[ "$(systemctl is-active lbctl)" = active ] && [ "$(systemctl show lbctl -p MainPID --value)" != "$before" ]'
is "by the watchdog" 'journalctl -u lbctl --no-pager | grep -qi watchdog'
soon "and goes on where it was" '[ "$(step)" = 5000 ]'
rm -r /etc/systemd/system/lbctl.service.d

# ---- upgrade, removal
version() { lbctl version --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["daemon"]["version"])'; }
before=$(version)
running=$(systemctl show lbctl -p MainPID --value)
echo "nonsense: [" >>/etc/lbctl/lbctl.yaml
dpkg -i /given/lbctl.deb >/tmp/upgraded 2>&1
is "an upgrade that refuses the config leaves the old daemon at its release, and says so" \
    'grep -q "this version refuses" /tmp/upgraded && [ "$(systemctl show lbctl -p MainPID --value)" = "$running" ] && [ "$(step)" = 5000 ]'
install -m 640 -g lbctl /given/lbctl.yaml /etc/lbctl/lbctl.yaml
dpkg -i /given/next.deb >/dev/null
soon "the next version runs" '[ "$(version)" = "$before.1" ]'
soon "an upgrade in mid-release goes on where it was" '[ "$(systemctl is-active lbctl)" = active ] && [ "$(release)" = shifting ] && [ "$(step)" = 5000 ]'
is "the split can be frozen" 'lbctl config render haproxy --config /etc/lbctl/lbctl.yaml --freeze /etc/haproxy/frozen >/tmp/frozen.cfg'
cat /given/haproxy.cfg /tmp/frozen.cfg >/tmp/all.cfg
is "and HAProxy takes it" 'haproxy -c -q -f /tmp/all.cfg'
dpkg -r lbctl >/tmp/removed 2>&1
is "a removal in mid-release names the release and its split" 'grep -q "release 2 is in the middle (shifting): web 50 % on blue" /tmp/removed'
is "it is gone" '[ ! -e /usr/bin/lbctl ] && ! systemctl is-active lbctl'
dpkg -i /given/next.deb >/dev/null
dpkg -r lbctl >/tmp/removed 2>&1
is "a removal without a daemon reads the record, and starts none" \
    'grep -q "release 2 is in the middle (shifting): web 50 % on blue" /tmp/removed && ! systemctl is-active lbctl'
is "Envoy's unit was an example: none went with the package" '[ ! -e /lib/systemd/system/lbctl-envoy.service ]'
cp /tmp/all.cfg /etc/haproxy/haproxy.cfg
systemctl reload haproxy
is "HAProxy goes on with the frozen split" 'curl -s http://127.0.0.1:8080/healthz | grep fine'
dpkg -P lbctl >/tmp/purged 2>&1
is "a purge keeps what HAProxy reads, and only that" '[ -e /var/lib/lbctl/haproxy/state.map ] && [ "$(ls /var/lib/lbctl)" = haproxy ] && [ ! -e /etc/lbctl ]'
touch /run/users.stop
soon "no user missed an answer" '! systemctl is-active users && grep -q "asked failed 0" /given/users'
echo "all done"
