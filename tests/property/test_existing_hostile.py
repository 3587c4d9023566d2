"""Whatever stands in an HAProxy config: the reader never breaks, and what it proposes is never something else."""

import os
from contextlib import suppress
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from lbctl.config.fault import ConfigError
from lbctl.config.load import load_text
from lbctl.config.yaml import read as read_yaml
from lbctl.dataplane.haproxy.existing.merging import MARK, merged
from lbctl.dataplane.haproxy.existing.proposal import propose, service_of
from lbctl.dataplane.haproxy.existing.sections import read
from lbctl.dataplane.haproxy.existing.yamltext import text
from lbctl.model.errors import Garbled
from lbctl.model.names import InstanceName
from lbctl.model.topology import Instance

LINES = (Path(__file__).parents[1] / "existing" / "complex.cfg").read_text().splitlines()
WORDS = sorted({word for line in LINES for word in line.split()})
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


@given(MIXED)
@example("\n".join(LINES))
def test_rules_that_are_put_into_any_text_leave_every_line_of_it_in_place(config: str) -> None:
    document = read([("h.cfg", config)])
    instance = Instance(name=InstanceName("edge/lb1"), directory="/m", socket="/s")
    services = [service_of(one) for one in propose(document).services if not one.found.single]
    try:
        result, _ = merged(config, document, instance, services)
    except Garbled:
        return
    ours = iter(result.split("\n"))
    for line in config.rstrip("\n").split("\n"):
        assert any(one == line or one == f"    {MARK} was: {line.strip()}" for one in ours), line
