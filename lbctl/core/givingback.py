"""Giving a claim back: a deployment failed, and another one need not wait for the end of its claim. Pure."""

from lbctl.core.change import Change
from lbctl.core.claims import holder, is_holder, unclaimed
from lbctl.core.reply import Facts
from lbctl.core.state import State
from lbctl.model.entry import Entry, Kind
from lbctl.model.errors import Refused
from lbctl.model.record import Claimed
from lbctl.model.request import GiveBack
from lbctl.model.units import Instant


def give_back(state: State, request: GiveBack, now: Instant) -> tuple[Change | None, Facts]:
    """Return the change that ends a claim by the word of its holder, who deploys no more. None is held: nothing to do.

    Raises:
        Refused: another build or user holds it, or its version is on the board already.
    """
    name, held = request.service, state.record.claims.get(request.service)
    if held is None:
        return None, {"service": name, "colour": None, "given_back": False}
    if not is_holder(held, request):
        raise _of_another(held, request)
    if (ready := state.record.board.get(name)) is not None:
        unit = state.topology.unit_of(name).name
        raise Refused(
            "on_the_board",
            f"{name} {ready.version} is ready: its claim is not given back before that is taken back",
            then=f"lbctl release withdraw {unit} --service {name}",
        )
    because = f": {request.reason}" if request.reason else ""
    text = f"{held.colour} of {name} is given back by {holder(held)}{because}"
    data = {"colour": held.colour.value, "build": held.build, "reason": request.reason}
    told = Entry(kind=Kind.CLAIM_ENDED, at=now, text=text, service=name, actor=request.actor, data={**data})
    facts: Facts = {"service": name, "colour": held.colour.value, "given_back": True}
    return Change(record=unclaimed(state.record, name), entries=(told,)), facts


def _of_another(held: Claimed, request: GiveBack) -> Refused:
    whose = f"build {request.build}" if request.build else f"whoever asks here ({request.actor})"
    return Refused(
        "claimed_by_another",
        f"{held.colour} of {request.service} is claimed by {holder(held)}, not by {whose}",
        why="a claim is given back by its holder alone: somebody else may be deploying there now",
        then=f"lbctl claim {request.service} --give-back --build {held.build or 'URL'}, if that is yours",
    )
