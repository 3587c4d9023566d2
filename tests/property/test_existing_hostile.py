"""Whatever stands in an HAProxy config: the reader never breaks, and what it proposes is never something else."""

import os
from contextlib import suppress
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from lbctl.config.fault import ConfigError
from lbctl.config.load import load_text
from lbctl.config.yaml import read as read_yaml
from lbctl.dataplane.haproxy.existing.findings import Weight
from lbctl.dataplane.haproxy.existing.merging import merged
from lbctl.dataplane.haproxy.existing.proposal import propose, service_of
from lbctl.dataplane.haproxy.existing.sections import read
from lbctl.dataplane.haproxy.existing.unmerging import WAS
from lbctl.dataplane.haproxy.existing.unreached import unreached
from lbctl.dataplane.haproxy.existing.yamltext import text
from lbctl.model.errors import Garbled
from lbctl.model.names import InstanceName
from lbctl.model.topology import Instance, Service

LINES = (Path(__file__).parents[1] / "existing" / "complex.cfg").read_text().splitlines()
WORDS = sorted({word for line in LINES for word in line.split()})
EXTRA = (
    "http-request allow", "http-request allow if { src 10.0.0.0/8 }", "tcp-request content accept", "mode tcp",
    "http-request set-path /x", "http-request lua.x", "frontend f from web", "use_backend shop_blue",
    "use_backend %[req.hdr(x)]", "use_backend shop_green if is_api", "default_backend shop_blue",
    "default_backend api_blue", "http-request deny if is_static",
)  # fmt: skip
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20)
MIXED = st.lists(
    st.one_of(
        st.sampled_from(LINES),
        st.lists(st.one_of(st.sampled_from(WORDS), NAMES), max_size=8).map(" ".join),
        st.text(max_size=60),
    ),
    max_size=40,
).map("\n".join)


@given(MIXED)
@example(".if " + "(" * 500 + "||" * 500)
@example(".if " + "!" * 2000)
@example("backend a\nserver-template x 1-99999999 1.1.1.1:1")
@example("listen a\nserver acme 1.1.1.1:1\nserver acme 1.1.1.1:1")
@example("global\nresetenv A\nbackend b\nserver '' '' cookie")
def test_any_text_gives_a_proposal_whose_yaml_is_yaml(config: str) -> None:
    made = propose(read([("h.cfg", config)]))
    proposal = text(made, "h.cfg", "", "/var/lib/lbctl/haproxy")
    node, faults = read_yaml(proposal.encode())
    assert node is not None
    # Such a name is kept as it is, for `config validate` to refuse at its place.
    assert {fault.what for fault in faults} <= {"a control character in a text"}, proposal
    with suppress(ConfigError):
        load_text("x", proposal.encode(), uid=0, environ=os.environ, resolve=lambda name: ["192.0.2.1"])


@given(NAMES, NAMES, st.integers(0, 255))
def test_what_is_accepted_is_what_stood_there(name: str, cookie: str, last: int) -> None:
    quoted = [word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") for word in (name, cookie)]
    config = (
        "global\nstats socket /s level admin\ndefaults\nmode http\nfrontend f\nbind :1\ndefault_backend w_blue\n"
        f'backend w_blue\ncookie C insert\nserver "{quoted[0]}" 10.0.0.{last}:80 cookie "{quoted[1]}"\n'
        "backend w_green\ncookie C insert\nserver g 10.0.1.1:81 cookie gg\n"
    )
    made = propose(read([("h.cfg", config)]))
    try:
        found = load_text("x", text(made, "h", "", "/m").encode(), uid=0, environ={})
    except ConfigError:
        return
    (server,) = next(iter(found.topology.services.values())).blue.servers
    assert (server.name, server.cookie or server.name, str(server.address)) == (
        name, cookie or name, f"10.0.0.{last}:80",
    )  # fmt: skip


def put_in(config: str, *only: str) -> tuple[str, list[Service]] | None:
    """The config with the rules of all its services, if it is not refused."""
    document = read([("h.cfg", config)])
    instance = Instance(name=InstanceName("edge/lb1"), directory="/m", socket="/s")
    services = [service_of(one) for one in propose(document, only).services if not one.found.single]
    try:
        return merged(config, document, instance, services)[0], services
    except Garbled:
        return None


@given(MIXED)
@example("\n".join(LINES))
def test_rules_that_are_put_into_any_text_leave_every_line_of_it_in_place(config: str) -> None:
    made = put_in(config)
    if made is None:
        return
    ours = iter(made[0].split("\n"))
    for line in config.rstrip("\n").split("\n"):
        assert any(one == line or one == f"    {WAS}{line.strip()}" for one in ours), line


@given(st.lists(st.tuples(st.integers(30, 40), st.sampled_from(EXTRA)), max_size=4))
@example([(33, "http-request allow")])
@settings(max_examples=30)
def test_rules_that_are_put_into_a_config_are_reached_whatever_rules_it_has(more: list[tuple[int, str]]) -> None:
    lines = [*LINES]
    for at, line in more:
        lines.insert(at, line)
    made = put_in("\n".join(lines), "shop", "api", "mixed")
    if made is None:
        return
    document = read([("h.cfg", made[0])])
    missed = [one for service in made[1] for one in unreached(document, service) if one.weight is Weight.FAULT]
    assert missed == [], made[0]
