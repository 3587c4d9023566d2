"""What the API answers about claims, the board of a unit and pins, as forms. More keys may come; none will go."""

from typing import Literal

import msgspec

ColourWord = Literal["blue", "green"]


class ClaimView(msgspec.Struct):
    """Who holds a pool to deploy to it: `build`, or the user where that is empty. `granted`: nothing reaches it, and it
    calls nobody, on every load balancer; else `waits` says what is missing. `left_ms`: it ends then, unless a version
    is said to be ready."""

    colour: ColourWord
    by: str
    since_ms: int
    granted: bool
    waits: str = ""
    build: str = ""
    left_ms: int = 0


class ReadyView(msgspec.Struct):
    """A version on the board, and what it waits for. `doubt`: which servers say that they run another one."""

    version: str
    build: str
    by: str
    since_ms: int
    waits: str
    provides: dict[str, list[int]]
    requires: dict[str, str]
    doubt: str = ""


class PinView(msgspec.Struct):
    """Where one consumer pool's calls go: `blue`, `green`, `split` (not pinned) or `none` (refused).

    `observed` and `boot` (after a reload without lbctl) have several words where load balancers or old workers differ;
    null: not read.
    """

    want: str | None
    observed: str | None
    boot: str | None = None


class CellView(msgspec.Struct):
    """Calls of one consumer pool that one pool of a provider got: `requests` since lbctl first watched, `in_release`
    in the last release, `wrong` against the caller's pin since that began. `caller` null: it is no pool of a consumer;
    then `right` is null, too."""

    caller: str | None
    colour: ColourWord
    requests: int
    last_s: float
    right: bool | None
    in_release: int = 0
    wrong: int = 0


class ClaimAnswer(msgspec.Struct):
    """Which pool may be deployed to. `granted`: now; else as soon as `status` says so. `proved`: it was known to be
    unused before the claim. `already`: the claim was there, nothing has changed. `superseded`: the release, without
    traffic yet, that the claim has ended."""

    service: str
    colour: ColourWord
    granted: bool
    proved: bool
    already: bool = False
    superseded: str | None = None


class GivenBackAnswer(msgspec.Struct):
    """The claim of `colour` has ended. `given_back` false: none was held, `colour` is null."""

    service: str
    colour: ColourWord | None
    given_back: bool


class ReadyAnswer(msgspec.Struct):
    """A version stands on the board of its unit, or goes already, with `release`. `warning`: servers of the pool that
    say, now, that they run another one."""

    unit: str
    service: str
    version: str
    build: str
    release: str | None = None
    warning: str = ""


class WithdrawnAnswer(msgspec.Struct):
    """Nothing of this service is on the board of its unit. `release`: what runs of it, which goes on, and `version`;
    `build`: whose record was taken off, and whose claim stays."""

    unit: str
    service: str
    release: str | None = None
    version: str = ""
    build: str = ""


class BuildAnswer(msgspec.Struct):
    """What became of a build. `released`: it is or was in `release` of `unit`. `waiting`: `text` says for what.
    `superseded`, `withdrawn`, `refused` (its plan is refused): it left the board, `text` says how."""

    word: Literal["waiting", "released", "superseded", "withdrawn", "refused"]
    build: str
    service: str | None
    version: str | None
    release: str | None
    text: str
    unit: str | None = None
