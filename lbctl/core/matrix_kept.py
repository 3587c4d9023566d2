"""The matrix of calls to plain JSON values and back, so that a restart forgets no call against a pin. Pure.

What is read may have been damaged or made up by anybody. Proofs of pins are not kept: they are made anew, and what came
while lbctl was away is counted, but is against no pin.
"""

from collections.abc import Mapping
from dataclasses import replace

from lbctl.core.matrix import Counts, Look, Miscall, Tally
from lbctl.model.names import Colour, Generation, InstanceName, ReleaseId, ServiceName
from lbctl.model.route import UNKNOWN, Caller, Cell, Pin
from lbctl.model.units import Instant

VERSION = 1
COUNT_MAX = 2**63
ENTRIES_MAX = 10_000
"""Of any list or object: far more than a unit has pools, load balancers and processes."""


def plain(tally: Tally) -> dict[str, object]:
    """Return a tally as plain values, to be read back by `recalled`."""
    return {
        "version": VERSION,
        "totals": _plain_counts(tally.totals),
        "last": {str(cell): at for cell, at in tally.last.items()},
        "release": tally.release,
        "in_release": _plain_counts(tally.in_release),
        "wrong": [
            [one.instance, str(one.caller), one.colour.value, one.pin.value, count]
            for one, count in tally.wrong.items()
        ],
        "unknown": [list(mark) for mark in tally.unknown],
        "looks": {
            name: {
                "taken_at": list(look.taken_at),
                "counts": {life: _plain_counts(one) for life, one in look.counts.items()},
            }
            for name, look in tally.looks.items()
        },
    }


def _plain_counts(counts: Counts) -> dict[str, int]:
    return {str(cell): count for cell, count in counts.items()}


def recalled(document: object, now: Instant) -> Tally:
    """Return the tally that `plain` wrote. Its clock may have been ahead of this one: what it saw later is seen anew.

    Raises:
        ValueError: it is anything else.
    """
    try:
        found = _tally(_object(document), now)
    except (KeyError, TypeError) as error:
        raise ValueError(f"matrix: {error!r} is missing or wrong") from error
    if found.totals.keys() - found.last.keys():
        raise ValueError("matrix: a cell that was never called")
    return found


def _tally(given: Mapping[str, object], now: Instant) -> Tally:
    if given["version"] != VERSION:
        raise ValueError(f"matrix: version {given['version']!r} is not {VERSION}")
    release = given["release"]
    looks = {InstanceName(name): _look(one) for name, one in _object(given["looks"]).items()}
    tally = Tally(
        totals=_counts(given["totals"]),
        last={_cell(text): min(now, Instant(_whole(at))) for text, at in _object(given["last"]).items()},
        release=None if release is None else ReleaseId(_text(release)),
        in_release=_counts(given["in_release"]),
        wrong=dict(_miscall(one) for one in _list(given["wrong"])),
        unknown=tuple(_mark(one, now) for one in _list(given["unknown"])),
    )
    return replace(tally, looks={name: look for name, look in looks.items() if max(look.taken_at) <= now})


def _look(document: object) -> Look:
    given = _object(document)
    taken_at = tuple(Instant(_whole(at)) for at in _list(given["taken_at"]))
    if not 1 <= len(taken_at) <= 3:
        raise ValueError("matrix: an instance is remembered by its last three readings")
    return Look(taken_at, {Generation(life): _counts(one) for life, one in _object(given["counts"]).items()})


def _miscall(document: object) -> tuple[Miscall, int]:
    instance, caller, colour, pin, count = _list(document)
    wrong = Miscall(InstanceName(_text(instance)), _caller(_text(caller)), Colour(_text(colour)), Pin(_text(pin)))
    return wrong, _whole(count)


def _counts(document: object) -> Counts:
    return {_cell(text): _whole(count) for text, count in _object(document).items()}


def _cell(text: str) -> Cell:
    caller, _, colour = text.rpartition(">")
    return Cell(None if caller == UNKNOWN else _caller(caller), Colour(colour))


def _caller(text: str) -> Caller:
    service, _, colour = text.rpartition("-")
    if not service:
        raise ValueError(f"matrix: {text!r} is no pool")
    return Caller(ServiceName(service), Colour(colour))


def _object(document: object) -> dict[str, object]:
    if not isinstance(document, dict) or len(document) > ENTRIES_MAX:
        raise ValueError(f"matrix: {type(document).__name__} where an object should be, or too large")
    return {_text(name): value for name, value in document.items()}


def _list(document: object) -> list[object]:
    if not isinstance(document, list) or len(document) > ENTRIES_MAX:
        raise ValueError(f"matrix: {type(document).__name__} where a list should be, or too large")
    return document


def _mark(document: object, now: Instant) -> tuple[Instant, int]:
    at, count = _list(document)
    return min(now, Instant(_whole(at))), _whole(count)


def _text(document: object) -> str:
    if not isinstance(document, str):
        raise TypeError(f"matrix: {type(document).__name__} where a text should be")
    return document


def _whole(document: object) -> int:
    if not isinstance(document, int) or isinstance(document, bool) or not 0 <= document <= COUNT_MAX:
        raise ValueError(f"matrix: {type(document).__name__} where a count should be")
    return document
