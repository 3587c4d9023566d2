"""How many connections there may be, and which one goes when there are too many."""

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from lbctl.control.peer import Peer


class Guest(Protocol):
    """A connection, as the door sees it."""

    peer: Peer

    @property
    def idle_since_s(self) -> float | None:
        """Since when it has no request under way; None: it has one."""
        ...

    def evict(self) -> None:
        """Close it at once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the control socket. Root and the daemon's own user get more, but never all."""

    connections: int = 64
    per_user: int = 8
    per_privileged: int = 48
    request_s: float = 10.0
    """A request must be whole within this time from its first byte (a new connection: from its beginning)."""
    idle_s: float = 30.0
    answer_s: float = 15.0
    write_s: float = 30.0


class Door:
    """Keeps the guests. Whoever comes when it is full takes the place of the one that has idled longest."""

    def __init__(self, limits: Limits, own_uid: int) -> None:
        self.limits = limits
        self._privileged = {0, own_uid}
        self._guests: list[Guest] = []

    def __len__(self) -> int:
        return len(self._guests)

    def admit(self, guest: Guest) -> bool:
        """Let a guest in, if need be in place of an idle one; False: everybody is busy."""
        uid = guest.peer.uid
        most = self.limits.per_privileged if uid in self._privileged else self.limits.per_user
        same = [one for one in self._guests if one.peer.uid == uid]
        if len(same) >= most and not self._make_room(same):
            return False
        if len(self._guests) >= self.limits.connections and not self._make_room(self._from_the_greediest()):
            return False
        self._guests.append(guest)
        return True

    def leave(self, guest: Guest) -> None:
        """Forget a guest; one that was never let in is no error."""
        if guest in self._guests:
            self._guests.remove(guest)

    def _from_the_greediest(self) -> list[Guest]:
        """Return the idle guests of the user that has most of them."""
        idle = [one for one in self._guests if one.idle_since_s is not None]
        counts = Counter(one.peer.uid for one in idle)
        return [one for one in idle if one.peer.uid == counts.most_common(1)[0][0]]

    def _make_room(self, candidates: list[Guest]) -> bool:
        idle = [(one.idle_since_s, index) for index, one in enumerate(candidates) if one.idle_since_s is not None]
        if not idle:
            return False
        oldest = candidates[min(idle)[1]]
        self.leave(oldest)
        oldest.evict()
        return True
