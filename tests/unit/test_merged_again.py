"""A config that has lbctl's lines: they are taken out, and put in anew as lbctl's config says now."""

from dataclasses import replace

import pytest

from lbctl.dataplane.haproxy.existing.merging import merged
from lbctl.dataplane.haproxy.existing.sections import read
from lbctl.dataplane.haproxy.existing.unmerging import GONE, unmerged
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.topology import Address, HaproxyBinding, HaproxyForm, Instance, Pool, RequestLog, Server, Service

LB = Instance(name=InstanceName("edge/lb1"), directory="/var/lib/lbctl/haproxy", socket="/run/h.sock")
LOG = RequestLog(Address("127.0.0.1", 5514))
OWN = """\
defaults
  mode http

frontend www
  bind :80
  acl is_api path_beg /api/
  use_backend api_blue if is_api
  default_backend web_blue

frontend partners
  bind :81
  default_backend api_blue

backend web_blue
  cookie SRV insert indirect nocache
  server b1 10.0.0.1:80 cookie x1

backend api_blue
  server a1 10.0.0.3:80
"""


def service(name: str) -> Service:
    pools = {
        colour: Pool(colour, (Server(ServerName(f"{name}-{colour}"), Address("10.0.0.9", 80)),)) for colour in Colour
    }
    backends = {colour: f"{name}_{colour}" for colour in Colour}
    return Service(
        name=ServiceName(name),
        plane=PlaneName("edge"),
        blue=pools[Colour.BLUE],
        green=pools[Colour.GREEN],
        haproxy=HaproxyBinding(backends, "SRV", f"lbctl_{name}", HaproxyForm.MAP),
    )


BOTH = [service("web"), service("api")]


def put(text: str, services: list[Service], log: RequestLog | None = None) -> str:
    own = unmerged(text)
    return merged(own, read([("haproxy.cfg", own)]), LB, services, log)[0]


def test_merging_twice_is_merging_once() -> None:
    once = put(OWN, BOTH, LOG)
    assert put(once, BOTH, LOG) == once
    assert GONE not in once


def test_what_changed_in_lbctls_config_is_all_that_changes() -> None:
    assert put(put(OWN, BOTH), BOTH, LOG) == put(OWN, BOTH, LOG)
    assert put(put(OWN, BOTH), BOTH[:1]) == put(OWN, BOTH[:1]).replace(
        "  bind :81\n  default_backend", "  bind :81\n    default_backend"
    ), "a line that was a comment comes back as it was, but for its indent"
    moved = replace(LB, directory="/srv/maps")
    once = put(OWN, BOTH)
    own = unmerged(once)
    assert merged(own, read([("haproxy.cfg", own)]), moved, BOTH)[0] == once.replace(
        "/var/lib/lbctl/haproxy", "/srv/maps"
    )


def test_every_line_keeps_its_number_for_what_is_said_of_it() -> None:
    once = put(OWN, BOTH)
    assert len(unmerged(once).split("\n")) == len(once.split("\n"))
    assert unmerged(OWN) == OWN


@pytest.mark.parametrize("lost", ["    # lbctl: begin", "    # lbctl: end"])
def test_half_a_pair_of_marks_is_refused_with_its_line(lost: str) -> None:
    with pytest.raises(Garbled, match=r"line \d+: .* stands alone"):
        unmerged(put(OWN, BOTH).replace(lost, "", 1))


def test_only_users_whom_a_cookie_binds_get_one_of_lbctls() -> None:
    text = put(OWN, BOTH)
    assert "lbctl_web=%[" in text
    assert "lbctl_api" not in text
    partners = text.split("frontend partners", 1)[1].split("backend web_blue", 1)[0]
    assert not {word for word in ("lb_had", "lb_bucket", "lb_limit", "Set-Cookie") if word in partners}
    assert "lb_colour) str(green) if { var(txn.lb_why) -m str new } { rand(10000)" in partners


# ---- form weights

SHARED = """\
defaults
  mode http

frontend www
  bind :80
  default_backend web

backend web
  balance roundrobin
  server web-blue 10.0.0.9:80 cookie x1
  server web-green 10.0.0.9:80 cookie x2
"""
WEIGHED = replace(
    BOTH[0], haproxy=HaproxyBinding(dict.fromkeys(Colour, "web"), "SRV", "lbctl_web", HaproxyForm.WEIGHTS)
)


def test_what_an_older_merge_put_into_a_shared_backend_without_marks_is_put_in_anew_with_them() -> None:
    once = put(SHARED, [WEIGHED])
    marked = "backend web\n    # lbctl: begin\n    load-server-state-from-file local\n"
    assert marked in once
    older = once.replace(marked, "backend web\n    load-server-state-from-file local\n")
    older = older.replace("web.state\n    # lbctl: end\n", "web.state\n")
    assert older.count("# lbctl:") == once.count("# lbctl:") - 2
    assert put(older, [WEIGHED]) == once == put(once, [WEIGHED])
    own = unmerged(older)
    moved = merged(own, read([("haproxy.cfg", own)]), replace(LB, directory="/srv/maps"), [WEIGHED])
    was = "    # lbctl: was: server-state-file-name /var/lib/lbctl/haproxy/web.state\n"
    assert moved[0].replace(was, "") == once.replace("/var/lib/lbctl/haproxy", "/srv/maps")
    (told,) = [text for text in moved[1] if "gives way" in text]
    assert "haproxy.cfg:" in told
    assert "web.state` gives way: the weights of web are in a file of lbctl's" in told


def test_a_state_file_of_a_persons_own_gives_way_and_is_named() -> None:
    own = SHARED.replace("  balance", "  load-server-state-from-file none\n  balance")
    text, told = merged(own, read([("haproxy.cfg", own)]), LB, [WEIGHED])
    was = "    # lbctl: was: load-server-state-from-file none\n"
    assert text.replace(was, "") == put(SHARED, [WEIGHED])
    assert put(text, [WEIGHED]) == text
    assert "haproxy.cfg:9: `load-server-state-from-file none` gives way" in "\n".join(told)
