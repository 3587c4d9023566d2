"""Who may do what on the control socket, and what a refusal tells."""

import pytest

from lbctl.config.accounts import NOBODY, Principal
from lbctl.config.settings import Access
from lbctl.control.peer import Peer
from lbctl.control.rights import Role, authorise, role_of
from lbctl.model.names import ServiceName

DAEMON = 990
ACCESS = Access(
    observe=(Principal(is_group=True, id=100, text="group lbctl"),),
    operate=(Principal(is_group=True, id=200, text="group lbctl-admin"),),
    admin=(Principal(is_group=False, id=1500, text="user eva"),),
    gate={ServiceName("accounts"): (Principal(is_group=True, id=300, text="group ci-accounts"),)},
)


def peer(uid: int, *groups: int) -> Peer:
    return Peer(4711, uid, frozenset(groups))


@pytest.mark.parametrize(
    ("who", "services", "role"),
    [
        (peer(0), (), Role.ADMIN),
        (peer(DAEMON), (), Role.ADMIN),
        (peer(1500), (), Role.ADMIN),
        (peer(1000, 200), (), Role.OPERATE),
        (peer(1000, 200), ("accounts",), Role.OPERATE),
        (peer(1000, 300), ("accounts",), Role.GATE),
        (peer(1000, 300), ("storefront",), Role.OBSERVE),
        (peer(1000, 300), ("storefront", "accounts"), Role.GATE),
        (peer(1000, 100), ("accounts",), Role.OBSERVE),
        (peer(1000), ("accounts",), Role.NOTHING),
        (peer(200, 1500), (), Role.NOTHING),
    ],
)
def test_a_peer_has_the_highest_role_of_its_user_and_groups(who: Peer, services: tuple[str, ...], role: Role) -> None:
    assert role_of(who, ACCESS, services, DAEMON) is role


@pytest.mark.parametrize("who", [peer(1), peer(1000, 0), peer(NOBODY, NOBODY)])
def test_without_access_only_root_and_the_daemons_own_user_may_anything(who: Peer) -> None:
    assert authorise(who, Access(), Role.OBSERVE, (), DAEMON) is not None
    assert authorise(peer(0), Access(), Role.ADMIN, (), DAEMON) is None
    assert authorise(peer(DAEMON), Access(), Role.ADMIN, (), DAEMON) is None


def test_nobody_never_gets_a_role_although_the_config_names_it() -> None:
    everyone = (Principal(is_group=True, id=NOBODY, text="group nogroup"),)
    assert role_of(peer(NOBODY, NOBODY), Access(admin=everyone), (), DAEMON) is Role.NOTHING


def test_a_gate_may_pause_its_own_service_and_no_other() -> None:
    ci = peer(1000, 300)
    assert authorise(ci, ACCESS, Role.GATE, ("accounts",), DAEMON) is None
    refusal = authorise(ci, ACCESS, Role.GATE, ("storefront",), DAEMON)
    assert refusal is not None
    assert "gate of storefront" in refusal.what


def test_a_refusal_names_the_group_that_would_be_allowed() -> None:
    refusal = authorise(peer(1000, 100), ACCESS, Role.OPERATE, (), DAEMON)
    assert refusal is not None
    assert "group lbctl-admin" in refusal.why
    assert "you have observe" in refusal.why
    assert refusal.then == "join the group lbctl-admin and log in again"


def test_a_refusal_without_any_group_says_what_to_configure() -> None:
    refusal = authorise(peer(1000), Access(), Role.OPERATE, (), 0)
    assert refusal is not None
    assert refusal.why == "operate is for root; you have nothing"
    assert "access: {operate: {group: …}}" in refusal.then
    gate = authorise(peer(1000), Access(), Role.GATE, ("web",), 0)
    assert gate is not None
    assert "access: {gate: {web: {group: …}}}" in gate.then


def test_a_refusal_for_a_unit_names_every_service_whose_gate_would_do() -> None:
    refusal = authorise(peer(1000, 100), ACCESS, Role.GATE, ("accounts", "storefront"), DAEMON)
    assert refusal is not None
    assert "the role gate of accounts or storefront" in refusal.what
    assert refusal.then == "join the group ci-accounts and log in again"
