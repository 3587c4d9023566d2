"""What a request may carry: the body's forms, and how a body becomes one of them. Unknown keys are refused by name."""

import re
from typing import Annotated, Literal, TypeVar

import msgspec

from lbctl.config.fault import did_you_mean
from lbctl.model.errors import Refused
from lbctl.model.visible import printable
from lbctl.notjson import NOT_JSON

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=63, description="A service.")]
Either = Annotated[str, msgspec.Meta(min_length=1, max_length=63, description="A service or a unit.")]
Text = Annotated[str, msgspec.Meta(max_length=1_000, description="Why, for people; stored and told.")]
Version = Annotated[str, msgspec.Meta(min_length=1, max_length=200, description="What people call what runs there.")]
Length = Annotated[str, msgspec.Meta(max_length=32, description="A duration with unit: 500ms, 2m, 1h30m.")]
Shares = Annotated[
    list[Annotated[str, msgspec.Meta(max_length=16)]],
    msgspec.Meta(min_length=1, max_length=50, description="Rising shares that end at 100%."),
]
Versions = Annotated[dict[Name, Version], msgspec.Meta(max_length=10, description="Of a unit: by service.")]
Build = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=500, pattern=r"^\S+$", description="The build, as its URL; without blanks."),
]
Promise = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Provides = Annotated[list[Promise], msgspec.Meta(max_length=64, description="As `accounts-api=2`; several are a set.")]
Requires = Annotated[list[Promise], msgspec.Meta(max_length=64, description="As `accounts-api>=1,<3`.")]
ColourWord = Literal["blue", "green"]


class Why(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Only a reason."""

    reason: Text = ""


class PromoteBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`full`: to 100 % at once instead of the next step."""

    full: bool = False
    reason: Text = ""


class AdoptBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`settle`: bring all new traffic to `active` first."""

    active: ColourWord
    version: Version = "unknown"
    provides: Provides = []
    requires: Requires = []
    settle: bool = False
    reason: Text = ""


class ClaimBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`build`: whose claim it is; without one it is the user's. `unit`: what it is to be said ready for; a wrong one is
    refused. `dry_run`: only say what would be answered."""

    build: Build = ""
    unit: Either | None = None
    dry_run: bool = False
    reason: Text = ""


class TakeOverBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`build`: whose claim it will be; without one it is the user's."""

    build: Build = ""
    reason: Text = ""


class GiveBackBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`build`: whose claim it is; without one it is the user's. `dry_run`: only say what would be answered."""

    build: Build = ""
    reason: Text = ""
    dry_run: bool = False


class ReadyBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A version that is deployed to the claimed pool. `unit` is that of the service, or the service itself.
    `dry_run`: only say what would be answered."""

    unit: Either
    version: Version
    build: Build
    provides: Provides = []
    requires: Requires = []
    dry_run: bool = False
    reason: Text = ""


class WithdrawBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`unit` is that of the service, or the service itself."""

    unit: Either
    reason: Text = ""


class MaintenanceBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Of one service, of a unit, or of all."""

    on: bool
    service: Either | None = None
    reason: Text = ""


FreezeName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="Of the window.")]
Until = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([0-9]{4}-[01][0-9]-[0-3][0-9] ([01][0-9]|2[0-3]):[0-5][0-9])?$",
        description="As `2026-12-20 18:00`; empty: until it is removed.",
    ),
]
Zone = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,63}$", description="Whose time that is.")]


class FreezeBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Of a service, of a unit, or of all. A window of that name is changed. `lasts_ms`, to the minute, or `until`."""

    name: FreezeName
    service: Either | None = None
    until: Until = ""
    lasts_ms: Annotated[int, msgspec.Meta(ge=1, le=31_622_400_000)] | None = None
    zone: Zone = "UTC"
    reason: Text = ""


class UnfreezeBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Which window."""

    name: FreezeName
    reason: Text = ""


class PlanBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A release to come. What is left out comes from the config; `bake` is `hold` where only that is given.

    Of a unit: `versions` by service, and neither `to` nor `version`.
    """

    service: Either
    to: ColourWord | None = None
    version: Version = "unknown"
    versions: Versions = {}
    steps: Shares | None = None
    hold: Length | None = None
    bake: Length | None = None
    retain: Length | None = None


class SwitchBody(PlanBody, forbid_unknown_fields=True, omit_defaults=True):
    """A release to start now. `unchecked`: of a unit that goes by contract, whose versions nobody compares then."""

    unchecked: bool = False
    reason: Text = ""


class StoppedBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`release`: a number; empty: the running one of the service."""

    release: Annotated[str, msgspec.Meta(max_length=20)] = ""
    reason: Text = ""


class DrainBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One server of a service: `on` drains it, else it is to be ready again."""

    pool: ColourWord
    server: Name
    on: bool
    reason: Text = ""


class UndoBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How the new release goes, where a rollback cannot be. What is left out comes from the config."""

    steps: Shares | None = None
    hold: Length | None = None
    bake: Length | None = None
    retain: Length | None = None
    reason: Text = ""


Body = TypeVar("Body", bound=msgspec.Struct)
_UNKNOWN = re.compile(r"unknown field `([^`]{0,200})`")


def decode(raw: bytes, form: type[Body]) -> Body:
    """Return the body as `form`; an empty one counts as `{}`.

    Raises:
        Refused: not JSON, an unknown key, or a value of the wrong type; the text names the key.
    """
    try:
        return msgspec.json.decode(raw or b"{}", type=form)
    except msgspec.ValidationError as error:
        found = _UNKNOWN.search(str(error))
        then = did_you_mean(found[1], form.__struct_fields__) if found else f"keys: {', '.join(form.__struct_fields__)}"
        raise Refused("bad_body", "the body has a fault", why=str(error), then=then, exit_code=2) from None
    except NOT_JSON as error:
        why = f"it is not JSON: {error}"
        raise Refused("bad_body", "the body cannot be read", why=why, then="send a JSON object", exit_code=2) from None


def folded(text: str) -> str:
    """Return text on one line without control characters, as it goes into the journal and to people."""
    return " ".join(printable(text, " ").split())
