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
