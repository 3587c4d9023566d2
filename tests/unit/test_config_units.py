"""Units and consumers: what they become, and every way in which they cannot be meant, at its place with the next step."""

# ruff: noqa: E501  (a message is tested as it is shown, in one line)

import time
from typing import Any

import pytest
import yaml

from lbctl.config.json_schema import json_schema
from lbctl.config.reloading import check_reload
from lbctl.config.show import config_text
from lbctl.model.names import Colour, ServiceName, UnitName
from lbctl.model.route import Caller
from lbctl.model.topology import Address, Consumer, Deadlines, PinKind, PlanMode, Rendezvous
from lbctl.model.units import DAY, MINUTE, Span
from tests.unit.config_texts import SHOP, changed, config, faults

ACCOUNTS, STOREFRONT, PAY = ServiceName("accounts"), ServiceName("storefront"), ServiceName("pay")
UNIT = UnitName("shop")
PINNED = "{pin: listener, blue: 10.0.0.5:9001, green: 10.0.0.5:9002}"
BOTH = "services: [accounts, storefront]"


def shop(*edits: tuple[str, str]) -> str:
    return changed(*edits, text=SHOP)


def test_a_unit_and_who_calls_whom_arrive_in_the_model() -> None:
    topology = config(
        shop(("    steps: [1%, 100%]", "    rendezvous: all\n    judge: {plan: strict}\n    bake: 3m"))
    ).topology
    unit = topology.unit_of(STOREFRONT)
    assert (unit.name, unit.services, unit.rendezvous) == (UNIT, (ACCOUNTS, STOREFRONT), Rendezvous.ALL)
    assert (unit.plan.bake, unit.judge.plan) == (180_000, PlanMode.STRICT)
    listeners = {Colour.BLUE: Address("10.0.0.5", 9001), Colour.GREEN: Address("10.0.0.5", 9002)}
    assert topology.services[ACCOUNTS].consumers == {STOREFRONT: Consumer(kind=PinKind.LISTENER, listeners=listeners)}
    assert topology.callers_of(ACCOUNTS) == (Caller(STOREFRONT, Colour.BLUE), Caller(STOREFRONT, Colour.GREEN))
    assert topology.unit_of(PAY).name == PAY


def test_deadlines_of_claims_and_the_board_are_those_of_the_unit() -> None:
    topology = config(shop(("[1%, 100%]", "[1%, 100%]\n    deadlines: {board: 3d, claim: 20m}"))).topology
    found = Deadlines(board=Span(3 * DAY), claim=Span(20 * MINUTE))
    assert topology.unit_of(ACCOUNTS).deadlines == topology.services[STOREFRONT].deadlines == found
    assert topology.unit_of(PAY).deadlines == Deadlines()


def test_services_of_a_unit_go_by_its_plan_and_its_judge_and_others_by_their_own() -> None:
    topology = config(shop(("[1%, 100%]", "[1%, 100%]\n    judge: {slo: 99%}"))).topology
    for name in (ACCOUNTS, STOREFRONT):
        assert topology.services[name].plan == topology.units[UNIT].plan
        assert topology.services[name].judge == topology.units[UNIT].judge
    assert topology.services[PAY].plan.steps_bp == (5_000, 10_000)


@pytest.mark.parametrize(
    ("pin", "consumer"),
    [
        ("{pin: source}", Consumer(kind=PinKind.SOURCE)),
        ("{pin: header, header: X-Pool}", Consumer(kind=PinKind.HEADER, header="X-Pool")),
    ],
)
def test_a_consumer_is_also_told_by_source_or_header(pin: str, consumer: Consumer) -> None:
    found = config(shop((PINNED, pin))).topology.services[ACCOUNTS].consumers
    assert found == {STOREFRONT: consumer}


BAD = [
    (BOTH, "services: []", "28:15: units.shop.services: the list is empty; name at least two services"),
    (
        BOTH,
        "services: [pay]",
        "28:15: units.shop.services: a unit of one service; name another one, or delete the unit: a service in no unit is a unit of its own",
    ),
    (
        BOTH,
        f"services: [{', '.join('abcdefghijk')}]",
        "28:15: units.shop.services: 11 items; at most 10 are supported",
    ),
    (BOTH, BOTH[:-1] + ", payy]", "28:38: units.shop.services[2]: there is no service payy; did you mean pay?"),
    (BOTH, BOTH[:-1] + ", accounts]", "28:38: units.shop.services[2]: accounts twice; delete one of them"),
    (
        "    steps: [1%, 100%]",
        "  other:\n    services: [pay, storefront]",
        "30:21: units.other.services[1]: storefront is already in unit shop; a service is in one unit: delete one",
    ),
    (
        "  shop:\n",
        "  pay:\n",
        "27:3: units.pay: a unit cannot be named pay: it is also a service; rename it",
    ),
    ("  shop:\n", "  green:\n", "27:3: units.green: a unit cannot be named green: it is a colour; rename it"),
    ("  shop:\n", "  '7':\n", "27:3: units.7: a unit cannot be named 7: it would be a release's number; rename it"),
    (
        "    listen: 10.0.0.5:8000\n",
        "    bake: 1m\n",
        "20:11: services.storefront.bake: storefront is released with unit shop, by the plan of that unit; move `bake` to units.shop, or delete it",
    ),
    (
        "    listen: 10.0.0.5:8000\n",
        "    judge: {slo: 99%}\n",
        "20:12: services.storefront.judge: storefront is released with unit shop, by the plan of that unit; move `judge` to units.shop, or delete it",
    ),
    (
        "      storefront: {",
        "      storefrnt: {",
        "15:7: services.accounts.consumers.storefrnt: there is no service storefrnt; did you mean storefront?",
    ),
    (
        "      storefront: {",
        "      accounts: {",
        "15:7: services.accounts.consumers.accounts: accounts would be its own consumer; delete it: a service calls itself by its own pools",
    ),
    (
        "      storefront: {pin",
        "      pay: {pin: source}\n      storefront: {pin",
        "15:7: services.accounts.consumers.pay: pay calls accounts, and unit shop is without pay; add pay to units.shop.services",
    ),
    (
        "    steps: [50%, 100%]\n",
        "    consumers: {storefront: {pin: source}}\n",
        "25:17: services.pay.consumers.storefront: storefront calls pay, and unit shop is without pay; add pay to units.shop.services",
    ),
    (
        f"units:\n  shop:\n    {BOTH}\n    steps: [1%, 100%]\n",
        "",
        "15:7: services.accounts.consumers.storefront: storefront calls accounts, and no unit has them; add `units: {NAME: {services: [accounts, storefront]}}`",
    ),
    (
        PINNED,
        "{pin: listener, blue: 10.0.0.5:9001}",
        "15:19: services.accounts.consumers.storefront: pin listener needs green; add `green: 10.0.0.5:9001`",
    ),
    (
        PINNED,
        "{pin: listener}",
        "15:19: services.accounts.consumers.storefront: pin listener needs blue and green; add `blue: 10.0.0.5:9001`",
    ),
    (
        PINNED,
        "{pin: header}",
        "15:19: services.accounts.consumers.storefront: pin header needs header; add `header: X-Lbctl-Pool`",
    ),
    (
        PINNED,
        "{pin: source, blue: 10.0.0.5:9001}",
        "15:39: services.accounts.consumers.storefront.blue: a key for pin listener, and this is source; delete it",
    ),
    (
        PINNED,
        "{pin: header, header: 'X Pool'}",
        "15:41: services.accounts.consumers.storefront.header: 'X Pool' is not a header name; use letters, digits and -, as in X-Lbctl-Pool",
    ),
    (
        PINNED,
        "{pin: listner}",
        "15:25: services.accounts.consumers.storefront.pin: expected listener or source or header, not 'listner'; did you mean listener?",
    ),
    (
        PINNED,
        "{}",
        "15:19: services.accounts.consumers.storefront: the key pin is missing; add pin: listener or source or header",
    ),
    (
        "green: 10.0.0.5:9002",
        "green: 10.0.0.5:9001",
        "15:63: services.accounts.consumers.storefront.green: 10.0.0.5:9001 and 10.0.0.5:9001, where storefront-blue calls accounts, cannot both be bound; choose another port",
    ),
    (
        "green: 10.0.0.5:9002",
        "green: 0.0.0.0:9000",
        "15:63: services.accounts.consumers.storefront.green: 0.0.0.0:9000 and 10.0.0.5:9000, where accounts listens, cannot both be bound; choose another port",
    ),
    (
        "    listen: 10.0.0.5:8000\n",
        "    listen: 0.0.0.0:9001\n",
        "20:13: services.storefront.listen: 0.0.0.0:9001 and 10.0.0.5:9001, where storefront-blue calls accounts, cannot both be bound; choose another port",
    ),
    (
        "green: 10.0.0.5:9002",
        "green: lb.example:9002",
        "15:63: services.accounts.consumers.storefront.green: 'lb.example' is a name, and only an address can be listened on; write it as 127.0.0.1:8080 or [::1]:8080",
    ),
    (
        "a-1: 10.0.1.1:80",
        "a-1: 10.0.0.5:9002",
        "12:25: services.accounts.pools.blue.a-1: 10.0.0.5:9002 is this service's own listen address; write the server's address",
    ),
    (
        "master_socket: /run/haproxy/master.sock, ",
        "",
        "7:12: data_planes.edge.instances.lb1: instance lb1 has no master_socket, and unit shop needs it: old workers go on routing; start HAProxy with `-W -S PATH`, and add `master_socket: PATH`",
    ),
    (
        "    steps: [1%, 100%]",
        "    capacity: 3",
        "29:15: units.shop.capacity: capacity 3 is more than the 2 servers of the smaller pool of accounts; lower it, or write equal",
    ),
    (
        "    steps: [1%, 100%]",
        "    rendezvous: contracts",
        "29:17: units.shop.rendezvous: expected contract or all or none, not 'contracts'; did you mean contract?",
    ),
    (
        "    steps: [1%, 100%]",
        "    rest_pin: none",
        "29:5: units.shop.rest_pin: not available in this version; delete it",
    ),
    (
        BOTH,
        BOTH[:-1] + ", pay]",
        "28:15: units.shop.services: these services cannot go together: pay and storefront are called by nobody of them: users would come in at both with two splits; release them one by one",
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), BAD, ids=[new.strip()[:50] or "left out" for _, new, _ in BAD])
def test_what_cannot_be_meant_is_named_with_its_place_and_the_next_step(old: str, new: str, expected: str) -> None:
    found = faults(shop((old, new)))
    assert f"lbctl.yaml:{expected}" in found, found
    assert all("services.pay.steps" in line for line in found if line != f"lbctl.yaml:{expected}")


@pytest.mark.parametrize("bad", ["pools: 7", "consumers: 7", "haproxy: 7", "listen: 7", "data_plane: 7"])
def test_what_cannot_be_read_at_all_is_one_fault_of_its_own(bad: str) -> None:
    key = bad.split(":", maxsplit=1)[0]
    lines = [line for line in SHOP.split("\n") if not line.startswith(f"    {key}:") and "pin: listener" not in line]
    text = (
        "\n".join(lines)
        .replace("  accounts:\n", f"  accounts:\n    {bad}\n")
        .replace("[1%, 100%]", "[1%, 100%]\n    capacity: 9")
    )
    assert any(f"services.accounts.{key}: " in line for line in faults(text))


def test_two_pools_on_the_same_hosts_cannot_be_told_by_their_source() -> None:
    found = faults(shop((PINNED, "{pin: source}"), ("s-3: 10.0.2.3:80", "s-3: 10.0.2.1:81")))
    assert found == [
        "lbctl.yaml:15:25: services.accounts.consumers.storefront.pin: 10.0.2.1 is both storefront-blue and storefront-green: "
        "a source address does not tell which of them calls; write `pin: listener` with an address for each"
    ]


def test_two_consumers_on_one_host_cannot_be_told_by_their_source_either() -> None:
    edits = (
        (f"      storefront: {PINNED}", "      storefront: {pin: source}\n      pay: {pin: source}"),
        ("p-2: 10.0.3.2:80", "p-2: 10.0.2.4:81"),
        ("    steps: [50%, 100%]\n", ""),
        ("listen: 10.0.0.5:8000", "consumers: {pay: {pin: source}}"),
        (BOTH, BOTH[:-1] + ", pay]"),
    )
    (found,) = faults(shop(*edits))
    assert "16:18: services.accounts.consumers.pay.pin: 10.0.2.4 is both storefront-green and pay-green" in found


def test_a_circle_is_refused_also_where_somebody_calls_it_from_outside() -> None:
    circle = ("listen: 10.0.0.5:8000", "consumers: {accounts: {pin: source}}")
    wanted = "each of accounts, storefront is called by another one: a cycle has no beginning; break the cycle in `consumers`"
    (found,) = faults(shop(circle))
    assert found == f"lbctl.yaml:28:15: units.shop.services: these services cannot go together: {wanted}"
    outside = (
        circle,
        (f"      storefront: {PINNED}", f"      storefront: {PINNED}\n      pay: {{pin: source}}"),
        ("    steps: [50%, 100%]\n", ""),
        (BOTH, BOTH[:-1] + ", pay]"),
    )
    (found,) = faults(shop(*outside))
    assert wanted in found


def test_all_faults_of_a_unit_come_at_once() -> None:
    found = faults(shop(("pin: listener", "pin: x"), ("[1%, 100%]", "[1%]"), ("master_socket", "mastersocket")))
    assert [line.split(":")[1] for line in found] == ["7", "7", "15", "29"]


def test_form_weights_has_no_pinned_callers() -> None:
    assert faults(shop(("haproxy: {form: map}", "haproxy: {form: weights}"))) == [
        "lbctl.yaml:11:21: services.accounts.haproxy.form: form weights has one backend: its callers cannot be pinned to a pool; write `form: map`, or delete the consumers"
    ]


def test_the_shown_config_can_be_loaded_again_although_members_have_no_plan_of_their_own() -> None:
    for text in (SHOP, shop((PINNED, "{pin: source}")), shop((PINNED, "{pin: header, header: X-Pool}"))):
        first = config(text)
        again = config(config_text(first))
        assert again.topology == first.topology
        assert again.effective == first.effective


def test_a_plan_is_shown_where_it_belongs() -> None:
    shown: Any = yaml.safe_load(config_text(config(SHOP)))
    assert {"steps", "bake", "judge", "drift"}.isdisjoint(shown["services"]["accounts"])
    assert {"steps", "bake", "judge", "drift"} <= shown["services"]["pay"].keys()
    assert shown["units"]["shop"]["bake"] == "10m"
    assert shown["services"]["accounts"]["consumers"]["storefront"]["blue"] == "10.0.0.5:9001"


def test_the_json_schema_knows_units_and_consumers() -> None:
    properties = json_schema()["properties"]
    assert properties["units"]["additionalProperties"]["required"] == ["services"]
    consumer = properties["services"]["additionalProperties"]["properties"]["consumers"]["additionalProperties"]
    assert consumer["properties"]["pin"]["enum"] == ["listener", "source", "header"]


def reload_faults(*edits: tuple[str, str], in_release: set[ServiceName]) -> list[str]:
    return [fault.render("lbctl.yaml") for fault in check_reload(config(SHOP), config(shop(*edits)), in_release)]


def test_in_release_a_unit_keeps_its_services_and_a_provider_its_consumers() -> None:
    both = {ACCOUNTS, STOREFRONT}
    dissolved = (f"units:\n  shop:\n    {BOTH}\n    steps: [1%, 100%]\n", "")
    apart = ("    consumers:\n      storefront: {pin: listener, blue: 10.0.0.5:9001, green: 10.0.0.5:9002}\n", "")
    found = reload_faults(dissolved, apart, in_release=both)
    assert [line.split(": ")[1] for line in found] == ["units.shop.services", "services.accounts.consumers"]
    assert found[0].endswith("wait for its release, or end it with `lbctl rollback shop`")
    assert reload_faults(dissolved, apart, in_release=set()) == []
    assert reload_faults(("[1%, 100%]", "[2%, 100%]"), in_release=both) == []


CALLED = "    consumers:\n      storefront: {pin: listener, blue: 10.0.0.5:9001, green: 10.0.0.5:9002}\n"


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        ((PINNED, "{pin: header, header: X-Pool}"), "services.accounts.consumers.storefront"),
        ((":9001", ":9003"), "services.accounts.consumers.storefront"),
        (("    haproxy: {form: map}\n    pools: {blue: {a-1", "    haproxy: {form: map, backends: {blue: x, green: y}}\n    pools: {blue: {a-1"),
         "services.accounts.haproxy"),
    ],
)  # fmt: skip
def test_while_storefront_goes_alone_how_accounts_knows_it_stays(edit: tuple[str, str], place: str) -> None:
    (found,) = reload_faults(edit, in_release={STOREFRONT})
    assert found.split(": ")[1] == place
    assert found.endswith(
        "cannot change while storefront, which calls accounts, is in release; "
        "wait for its release, or end it with `lbctl rollback storefront`"
    )
    assert reload_faults(edit, in_release=set()) == []


def test_whom_storefront_calls_is_not_forgotten_while_it_goes_alone() -> None:
    dissolved = (f"units:\n  shop:\n    {BOTH}\n    steps: [1%, 100%]\n", "")
    found = reload_faults(dissolved, (CALLED, ""), in_release={STOREFRONT})
    assert [line.split(": ")[1] for line in found] == ["units.shop.services", "services.accounts.consumers"]


def test_a_provider_may_get_another_server_while_its_consumer_goes_alone() -> None:
    assert reload_faults(("a-2: 10.0.1.2:80", "a-2: 10.0.1.9:80"), in_release={STOREFRONT}) == []


def test_who_comes_to_be_called_by_a_service_in_release_waits() -> None:
    new = ("    pools: {blue: {p-1: 10.0.3.1:80}, green: {p-2: 10.0.3.2:80}}\n    steps: [50%, 100%]\n",
           "    pools: {blue: {p-1: 10.0.3.1:80}, green: {p-2: 10.0.3.2:80}}\n    listen: 10.0.0.5:7000\n"
           "    consumers:\n      storefront: {pin: source}\n")  # fmt: skip
    found = reload_faults(new, ("[accounts, storefront]", "[accounts, storefront, pay]"), in_release={STOREFRONT})
    assert [line.split(": ")[1] for line in found] == ["units.shop.services", "services.pay.consumers.storefront"]


def by_source(*edits: tuple[str, str], in_release: set[ServiceName]) -> list[str]:
    """The faults of a reload where accounts tells storefront's pools by their servers' addresses."""
    source = (PINNED, "{pin: source}")
    faults = check_reload(config(shop(source)), config(shop(source, *edits)), in_release)
    return [fault.render("lbctl.yaml") for fault in faults]


def test_while_accounts_goes_alone_the_addresses_that_its_source_pins_name_stay() -> None:
    edit = ("s-4: 10.0.2.4:80", "s-4: 10.0.2.9:80")
    (found,) = by_source(edit, in_release={ACCOUNTS})
    assert found.split(": ", 1)[1] == (
        "services.storefront.pools.green: cannot change while accounts, which tells storefront by its servers' "
        "addresses, is in release; wait for its release, or end it with `lbctl rollback accounts`"
    )
    assert by_source(edit, in_release=set()) == []
    assert by_source(("10.0.2.4:80", "10.0.2.4:81"), in_release={ACCOUNTS}) == []
    assert reload_faults(edit, in_release={ACCOUNTS}) == []


def test_many_addresses_are_compared_fast() -> None:
    called = "".join(
        f"      c{n}: {{pin: listener, blue: '10.1.{n // 256}.{n % 256}:9000', green: '10.2.{n // 256}.{n % 256}:9000'}}\n"
        for n in range(99)
    )
    many = "".join(
        f"  m{n}:\n    data_plane: edge\n    haproxy: {{form: map}}\n    listen: '10.3.{n // 256}.{n % 256}:9000'\n"
        f"    pools: {{blue: {{x: 10.9.{n}.1:80}}, green: {{y: 10.9.{n}.2:80}}}}\n"
        + f"    consumers:\n{called.replace('10.1.', f'1{n}.1.').replace('10.2.', f'1{n}.2.')}"
        for n in range(60)
    )
    began = time.process_time()
    found = faults(shop(("  pay:\n", many + "  pay:\n")))
    assert not [line for line in found if "cannot both be bound" in line]
    assert time.process_time() - began < 8


def test_approvals_need_a_number_and_a_group_of_this_host() -> None:
    plan = (
        config(shop(("[1%, 100%]", "[1%, 100%]\n    approvals: {count: 2, group: ci-web}"))).topology.units[UNIT].plan
    )
    assert (plan.approvals.count, plan.approvals.group) == (2, "ci-web")
    assert plan.approvals.gid is not None
    for bad, expected in (("{count: 1}", "count without a group"), ("{group: ci-web}", "a group without a count")):
        found = faults(shop(("[1%, 100%]", f"[1%, 100%]\n    approvals: {bad}")))
        assert expected in str(found[0])
    assert "this host has no group 'nobodies'" in str(
        faults(shop(("[1%, 100%]", "[1%, 100%]\n    approvals: {count: 1, group: nobodies}")))[0]
    )
