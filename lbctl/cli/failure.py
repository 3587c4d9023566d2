"""What a command fails with, and what its exit code means. Exit codes are an API: docs/reference/cli.md."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    BUG = 1
    USAGE = 2
    UNREACHABLE = 3
    CONFIG = 4
    REFUSED = 5
    NOT_AUTHORISED = 6
    NO_SUCH = 7
    CHANGES = 10
    BACK_BY_ITSELF = 20
    BACK_BY_PERSON = 21
    TIMED_OUT = 22
    AWAITS_APPROVAL = 23
    SUPERSEDED = 25
    WAITING = 26
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANING = {
    Exit.DONE: "done; nothing to do; also a release whose end is `unproven`",
    Exit.BUG: "unexpected error; `simulate`: an invariant broke",
    Exit.USAGE: "wrong use of the command",
    Exit.UNREACHABLE: "no daemon answers at the sockets tried",
    Exit.CONFIG: "the config is invalid; `config import`: something must be filled in; `doctor`: there is a fault",
    Exit.REFUSED: "refused: it may not be done now",
    Exit.NOT_AUTHORISED: "not authorised (user or group of the caller)",
    Exit.NO_SUCH: "no such service, release or alert",
    Exit.CHANGES: "`plan --detailed-exitcode`: there are changes; `replay`: a verdict asks for something else now",
    Exit.BACK_BY_ITSELF: "the release went back by itself, or would (`simulate`); `judge --detailed-exitcode`: a "
    "verdict was rollback",
    Exit.BACK_BY_PERSON: "rolled back by a person, or cancelled, also by a deadline; the build was withdrawn",
    Exit.TIMED_OUT: "`--timeout` is over, the release goes on; `simulate`: it waits for a person",
    Exit.AWAITS_APPROVAL: "`--timeout` is over, the release waits for approval",
    Exit.SUPERSEDED: "`release wait`: a newer build took its place before first traffic; `release ready`, "
    "`claim --wait`: another build has the claim now",
    Exit.WAITING: "not yet: `release wait --build --timeout` ended on the board, for want of a partner or in a freeze "
    "window; a `claim` is held, not granted",
    Exit.INTERRUPTED: "interrupted; a release goes on",
    Exit.PIPE_CLOSED: "the reader of the output went away",
}


class Failure(Exception):
    """A command cannot be done. Printed as what / why / next."""

    def __init__(self, what: str, *, why: str = "", then: str = "", code: str = "", exit_code: int = Exit.BUG) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.then = then
        self.code = code
        self.exit_code = exit_code

    def render(self) -> str:
        """Return the lines for stderr, one for each part that has a text."""
        parts = (("error: ", self.what), ("  why   ", self.why), ("  next  ", self.then))
        return "\n".join(head + " ".join(text.split()) for head, text in parts if text)


class Problem(Failure):
    """What the daemon refused: told with its code, by which docs/reference/errors.md is searched."""

    def render(self) -> str:
        """Return the same lines, the code at the end of the first."""
        first, *more = super().render().split("\n")
        return "\n".join([f"{first} [{self.code}]" if self.code else first, *more])
