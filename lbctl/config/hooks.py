"""The key `hooks` of a service or unit: whom a release asks or tells at its named points."""

from collections.abc import Iterable

from lbctl.config.composite import Items, Key, Section, Values
from lbctl.config.hostkinds import Argv
from lbctl.config.kinds import Choice, Duration, Text
from lbctl.model.hook import BLOCKING, Hook, NoAnswer, Point
from lbctl.model.units import HOUR, SECOND, Span

URL = Text("an address", r"https?://[!-~]{1,2000}", "write it as https://gate.example/check")


def _hook(values: Values) -> None:
    """A hook goes one way; only where it is waited for does no answer mean anything."""
    ways = [key for key in ("exec", "http") if values.given(key)]
    if len(ways) != 1 and not (values.refused and not ways):
        values.place.fault("both exec and http" if ways else "nothing to ask", "give one of exec, http")
    told = values.good("at") and values["at"] not in BLOCKING
    if told and values.given("no_answer"):
        what = f"a hook at {values['at']} is told and never waited for"
        values.at("no_answer").fault(what, f"delete it, or write at: {' or '.join(BLOCKING)}")


def smoke(owner: Values, services: Iterable[tuple[str, Values]]) -> None:
    """A smoke hook reaches the candidate by preview, whichever of these services carries the split of a release."""
    hooks = owner["hooks"]
    if not isinstance(hooks, list) or Point.SMOKE not in [one["at"] for one in hooks]:
        return
    for name, one in services:
        preview = one["preview"]
        if isinstance(preview, Values) and preview["networks"] == []:
            then = f"add `preview: {{networks: [127.0.0.1]}}` to services.{name}, or write `at: preflight`"
            owner.at("hooks").fault(f"a hook at smoke, and {name} has no preview by which it could be asked", then)


HOOK = Section(
    {
        "at": Key(
            kind=Choice(tuple(Point)),
            required=True,
            doc="When. `preflight`, `smoke`, `before_step` and `after_step` are asked and waited for, the others told.",
        ),
        "exec": Key(kind=Argv(), doc="Run a program: exit 0 = yes, 1 = no, 2 = roll back. One of exec, http."),
        "http": Key(kind=URL, doc="POST JSON to this address: 2xx = yes, 4xx = no."),
        "timeout": Key(
            kind=Duration(lowest=100, highest=HOUR), default=30 * SECOND, doc="How long an answer is waited for."
        ),
        "no_answer": Key(
            kind=Choice(tuple(NoAnswer)),
            default="hold",
            doc="What it means if none comes in time, or none that can be understood.",
        ),
    },
    (_hook,),
)
HOOKS = Key(
    kind=Items(HOOK, "[{at: before_step, exec: /path}]", "write [{at: before_step, exec: /path}]", 0, 20),
    default=[],
    doc="Programs or addresses that a release asks before it goes on, or tells what happened.",
)


def hooks_of(found: list[Values]) -> tuple[Hook, ...]:
    """Return the hooks, in the order of the config."""
    return tuple(
        Hook(
            at=Point(values["at"]),
            argv=values["exec"] or (),
            url=values["http"] or "",
            timeout=Span(values["timeout"]),
            no_answer=NoAnswer(values["no_answer"]),
        )
        for values in found
    )
