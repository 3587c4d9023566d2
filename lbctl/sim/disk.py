"""The journal and the token directory of the simulated host."""

from dataclasses import dataclass, field

from lbctl.core import judge
from lbctl.core.matrix import Tally
from lbctl.core.state import Save
from lbctl.model.names import ReleaseId, ServiceName
from lbctl.model.reading import Token
from lbctl.model.record import Record
from lbctl.model.units import Instant


@dataclass(slots=True)
class Write:
    """A write under way."""

    save: Save
    done_at: Instant


@dataclass(slots=True)
class Disk:
    """One writer, in order. A write that fails changes nothing; one that a crash meets may or may not be there."""

    record: Record = field(default_factory=Record)
    before: Record = field(default_factory=Record)
    """What the journal holds beside it: the last record but one."""
    writes: list[Write] = field(default_factory=list)
    full: bool = False
    durable_at: Instant = Instant(0)
    """When the record got there."""
    accounts: dict[ReleaseId, dict[ServiceName, judge.Account]] = field(default_factory=dict)
    tallies: dict[ServiceName, Tally] = field(default_factory=dict)

    def write(self, save: Save, done_at: Instant) -> None:
        """Queue a write."""
        last = self.writes[-1].done_at if self.writes else done_at
        self.writes.append(Write(save, max(done_at, last)))

    def finish(self, now: Instant) -> tuple[Save, str] | None:
        """End the oldest write that is due; the text says why it failed."""
        if not self.writes or self.writes[0].done_at > now:
            return None
        save = self.writes.pop(0).save
        if self.full:
            return save, "no space left on device"
        self.before, self.record, self.durable_at = self.record, save.record, now
        return save, ""

    def crash(self, survivors: int) -> None:
        """The process died: the first `survivors` writes reached the disk all the same."""
        if not self.full:
            for write in self.writes[:survivors]:
                self.before, self.record = self.record, write.save.record
        self.writes.clear()


@dataclass(slots=True)
class Tokens:
    """The files of the runtime directory, with the same rules as `store.token`."""

    files: set[tuple[ReleaseId, str, Token]] = field(default_factory=set)
    trouble: str = ""
    """Why the directory can be neither read nor written; empty if it can."""

    def read(self, release: ReleaseId, nonce: str) -> Token:
        """Return the most careful token there is; none if the directory cannot be read."""
        if self.trouble:
            return Token.NONE
        for token in (Token.BACK, Token.HOLD, Token.GO):
            if (release, nonce, token) in self.files:
                return token
        return Token.NONE

    def mark(self, release: ReleaseId, nonce: str, token: Token) -> None:
        """Carry out a mark of the core, if it can be."""
        if self.trouble:
            return
        here = self.read(release, nonce)
        match token:
            case Token.GO:
                if here is Token.NONE:
                    self.files.add((release, nonce, Token.GO))
            case Token.HOLD:
                if here is Token.GO:
                    self._move(release, nonce, Token.HOLD)
            case Token.BACK:
                self._move(release, nonce, Token.BACK)
            case Token.NONE:
                self._move(release, nonce, None)

    def free(self, release: ReleaseId, nonce: str) -> None:
        """Turn a held token back to go."""
        if self.read(release, nonce) is Token.HOLD:
            self._move(release, nonce, Token.GO)

    def sweep(self, record: Record) -> None:
        """Remove what no record names."""
        named = {(release.id, release.nonce) for release in record.releases.values()}
        self.files = {one for one in self.files if one[:2] in named}

    def _move(self, release: ReleaseId, nonce: str, token: Token | None) -> None:
        self.files = {one for one in self.files if one[:2] != (release, nonce)}
        if token is not None:
            self.files.add((release, nonce, token))
