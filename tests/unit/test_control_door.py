"""How many connections there may be, and who goes when there are too many."""

from dataclasses import dataclass

from lbctl.control.door import Door, Limits
from lbctl.control.peer import Peer

LIMITS = Limits(connections=6, per_user=3, per_privileged=5)


@dataclass(eq=False)
class Guest:
    peer: Peer
    idle_since_s: float | None
    evicted: bool = False

    def evict(self) -> None:
        self.evicted = True


def guest(uid: int, idle_since_s: float | None = None) -> Guest:
    return Guest(Peer(1, uid, frozenset()), idle_since_s)


def test_a_users_oldest_idle_connection_makes_room_for_its_next() -> None:
    door = Door(LIMITS, own_uid=990)
    guests = [guest(1000, 3.0), guest(1000, 1.0), guest(1000, 2.0)]
    assert all(door.admit(one) for one in guests)
    assert door.admit(guest(1000, 4.0))
    assert [one.evicted for one in guests] == [False, True, False]
    assert len(door) == 3


def test_a_user_whose_connections_all_work_is_refused_and_others_are_not() -> None:
    door = Door(LIMITS, own_uid=990)
    for _ in range(3):
        assert door.admit(guest(1000))
    assert not door.admit(guest(1000))
    assert door.admit(guest(1001))


def test_root_and_the_daemons_own_user_get_more_but_never_all() -> None:
    for uid in (0, 990):
        door = Door(LIMITS, own_uid=990)
        for _ in range(5):
            assert door.admit(guest(uid))
        assert not door.admit(guest(uid))
        assert door.admit(guest(1000))


def test_when_all_places_are_taken_the_user_with_most_idle_connections_gives_one_back() -> None:
    door = Door(LIMITS, own_uid=990)
    modest = guest(1001, 0.0)
    greedy = [guest(1000, 5.0), guest(1000, 4.0), guest(1000, 6.0)]
    for one in (modest, *greedy, guest(1002), guest(1003)):
        assert door.admit(one)
    assert door.admit(guest(1004))
    assert [one.evicted for one in greedy] == [False, True, False]
    assert not modest.evicted


def test_nobody_is_let_in_when_every_place_is_busy() -> None:
    door = Door(LIMITS, own_uid=990)
    for uid in range(1000, 1006):
        assert door.admit(guest(uid))
    assert not door.admit(guest(0))


def test_a_guest_that_left_gives_its_place_back() -> None:
    door = Door(LIMITS, own_uid=990)
    first = guest(1000)
    for one in (first, guest(1000), guest(1000)):
        door.admit(one)
    door.leave(first)
    door.leave(first)
    assert door.admit(guest(1000))
