"""What an Envoy that others configured lacks, read from its dump; no shape of the dump is believed."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
import yaml

from lbctl.dataplane.envoy.attached import OLDEST
from lbctl.dataplane.envoy.callers import Callers
from lbctl.dataplane.envoy.dump import read_dump
from lbctl.dataplane.envoy.layout import Layout, layout_of
from lbctl.dataplane.envoy.limits import ability, of_any
from lbctl.dataplane.envoy.proposal import proposal
from lbctl.dataplane.envoy.survey import Survey, reads_servers_from, survey
from lbctl.dataplane.envoy.version import version_of
from lbctl.model.errors import Garbled
from lbctl.model.names import InstanceName
from lbctl.model.operation import Stickiness
from lbctl.model.topology import Instance, Protocol, Service
from tests.unit.test_envoy_routes import a_service

Json = dict[str, Any]
INSTANCE = Instance(name=InstanceName("edge/lb1"), directory="/var/lib/lbctl/e")
LAYOUT: Layout = layout_of(INSTANCE)
TYPE = "type.googleapis.com/envoy"


def dumped(*services: Service) -> Json:
    """What an Envoy would tell that runs the proposal."""
    document = yaml.safe_load(proposal(INSTANCE.name, LAYOUT, services))
    static = document["static_resources"]
    listeners = [{"listener": {"@type": f"{TYPE}.config.listener.v3.Listener", **one}} for one in static["listeners"]]
    clusters = [{"cluster": {"@type": f"{TYPE}.config.cluster.v3.Cluster", **one}} for one in static["clusters"]]
    return {
        "configs": [
            {"@type": f"{TYPE}.admin.v3.BootstrapConfigDump", "bootstrap": document},
            {"@type": f"{TYPE}.admin.v3.ListenersConfigDump", "static_listeners": listeners},
            {"@type": f"{TYPE}.admin.v3.ClustersConfigDump", "static_clusters": clusters},
        ]
    }


def manager(dump: Json) -> Json:
    listener = dump["configs"][1]["static_listeners"][0]["listener"]
    found: Json = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def codes(found: Survey) -> list[str]:
    return [text.partition(":")[0] for texts in found.lacking.values() for text in texts]


@pytest.mark.parametrize("protocol", list(Protocol))
def test_the_proposal_lacks_nothing_for_any_protocol(protocol: Protocol) -> None:
    services = [replace(a_service(name), protocol=protocol) for name in ("shop", "till")]
    found = survey(dumped(*services), services, LAYOUT)
    assert (found.faults, found.lacking) == ([], {})


def test_what_envoy_was_started_with_counts_for_nothing_once_it_runs_something_else() -> None:
    dump = dumped(a_service())
    dump["configs"][1]["static_listeners"] = []
    dump["configs"][2]["static_clusters"] = []
    faults = survey(dump, [a_service()], LAYOUT).faults
    assert [fault.partition(":")[0] for fault in faults] == ["shop"] * 3
    assert "no listener of this Envoy takes its routes" in faults[0]
    assert "no cluster shop_blue" in faults[1]


def test_a_listener_that_only_drains_or_was_refused_is_none() -> None:
    for state, faults in (("active_state", 0), ("draining_state", 1), ("warming_state", 1), ("error_state", 1)):
        dump = dumped(a_service())
        listener = dump["configs"][1].pop("static_listeners")[0]["listener"]
        dump["configs"][1]["dynamic_listeners"] = [{"name": "shop", state: {"listener": listener}}]
        assert len(survey(dump, [a_service()], LAYOUT).faults) == faults, state


def test_several_listeners_with_the_same_gap_are_told_once() -> None:
    dump = dumped(a_service())
    manager(dump)["http_filters"].pop(0)
    dump["configs"][1]["static_listeners"] *= 3
    assert codes(survey(dump, [a_service()], LAYOUT)) == ["NO_SERVER_SESSIONS"]


@pytest.mark.parametrize("source", [{"ads": {}}, {"api_config_source": {"api_type": "GRPC"}}, {}, 7, None, []])
def test_routes_from_anywhere_but_a_file_are_a_fault(source: object) -> None:
    dump = dumped(a_service())
    manager(dump)["rds"]["config_source"] = source
    (fault,) = survey(dump, [a_service()], LAYOUT).faults
    assert (
        f"its routes do not come from a file: set `path_config_source: {{path: {LAYOUT.routes(a_service().name)}"
        in fault
    )


def test_only_clusters_that_read_lbctls_own_file_are_given_servers() -> None:
    dump = dumped(a_service())
    assert reads_servers_from(dump, LAYOUT) == {"shop_blue", "shop_green"}
    dump["configs"][2]["static_clusters"][0]["cluster"]["eds_cluster_config"]["eds_config"]["path_config_source"] = {
        "path": "/etc/envoy/blue.json"
    }
    assert reads_servers_from(dump, LAYOUT) == {"shop_green"}


def test_grpc_by_any_way_to_speak_http2_is_fine() -> None:
    service = replace(a_service(), protocol=Protocol.GRPC)
    for options in ({"auto_config": {}}, {"use_downstream_protocol_config": {}}, {"explicit_http_config": {}}):
        dump = dumped(service)
        for one in dump["configs"][2]["static_clusters"]:
            one["cluster"]["typed_extension_protocol_options"] = {"any.name": options}
        assert bool(survey(dump, [service], LAYOUT).faults) is ("explicit_http_config" in options)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_a_dump_that_is_no_json_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled, match="/config_dump cannot be understood"):
        read_dump(body)


@pytest.mark.parametrize("seed", range(60))
def test_no_shape_of_a_dump_brings_it_down(seed: int) -> None:
    """Whatever is cut out or put in anywhere, a survey comes out of it."""
    chance = random.Random(seed)
    services = [replace(a_service(), protocol=chance.choice(list(Protocol)))]
    dump: Any = dumped(*services)
    for _ in range(chance.randrange(1, 30)):
        dump = _damaged(dump, chance)
    found = survey(dump, services, LAYOUT)
    assert all(isinstance(text, str) for text in found.faults)
    reads_servers_from(dump, LAYOUT)
    json.dumps([found.faults, *found.lacking.values()])


def _damaged(node: Any, chance: random.Random) -> Any:
    if chance.random() < 0.08 or not isinstance(node, dict | list) or not node:
        return chance.choice([None, 7, "x", [], {}, ["@type"], {"@type": 3}])
    if isinstance(node, dict):
        key = chance.choice(list(node))
        return {**node, key: _damaged(node[key], chance)}
    place = chance.randrange(len(node))
    return [*node[:place], _damaged(node[place], chance), *node[place + 1 :]]


def test_a_dump_without_end_is_read_to_some_depth() -> None:
    deep: Any = {"@type": f"{TYPE}.admin.v3.ListenersConfigDump"}
    for _ in range(2_000):
        deep = {"@type": f"{TYPE}.admin.v3.ListenersConfigDump", "more": deep}
    survey({"configs": [deep]}, [a_service()], LAYOUT)


def test_versions_are_compared_as_numbers() -> None:
    assert version_of("1.9.0") < OLDEST <= version_of("1.36.3") < version_of("1.40.0")
    assert version_of("unknown") < OLDEST
    assert any(text.startswith("OLD_ENVOY: 1.37.0") for text in of_any("1.37.0"))
    assert not any(text.startswith("OLD_ENVOY") for text in of_any("1.40.1"))


@pytest.mark.parametrize("protocol", list(Protocol))
def test_every_limit_names_its_service(protocol: Protocol) -> None:
    able = ability(replace(a_service(), protocol=protocol), ["OTHER: shop: text"], Callers())
    assert all(": shop: " in text for text in able.cannot)
    assert (Stickiness.COOKIE in able.stickiness) is (protocol is Protocol.HTTP)


def test_a_proposal_says_why_and_is_one_document_for_any_protocol() -> None:
    services = [replace(a_service(protocol.value), protocol=protocol) for protocol in Protocol]
    services[0] = replace(services[0], listen_tls=True)
    text = proposal(INSTANCE.name, LAYOUT, services)
    assert "add your transport_socket" in text
    for service in services:
        assert str(LAYOUT.routes(service.name)) in text
    assert set(yaml.safe_load(text)) == {
        "node", "stats_flush_interval", "admin", "bootstrap_extensions", "static_resources",
    }  # fmt: skip
    assert "bootstrap_extensions" not in yaml.safe_load(proposal(INSTANCE.name, LAYOUT, services[:2]))
    assert max(len(line) for line in text.splitlines() if line.lstrip().startswith("#")) <= 122
