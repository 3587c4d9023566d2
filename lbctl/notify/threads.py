"""Which message of a chat stands for which release: it is edited in place, and answered in a thread."""

from dataclasses import asdict, dataclass

from lbctl.notify.kept import Kept
from lbctl.notify.port import Memory


@dataclass(frozen=True, slots=True)
class Thread:
    """The message of one release: where it is, which channel the config named then, the newest fact that it shows (0:
    unknown), and the last alerts that were answered below it while it could not be edited."""

    channel: str
    ts: str
    named: str
    seq: int = 0
    replied: tuple[str, ...] = ()


class Threads:
    """The threads of one alert channel, kept over restarts. One that cannot be kept costs a second message."""

    def __init__(self, name: str, memory: Memory) -> None:
        self._kept = Kept(f"threads/{name}", memory)

    def of(self, release: str) -> Thread | None:
        """Return the thread of a release."""
        found = self._kept.of(release)
        try:
            return (
                None
                if found is None
                else Thread(
                    str(found["channel"]), str(found["ts"]), str(found["named"]), int(found["seq"]),
                    tuple(map(str, found.get("replied", ()))),
                )
            )  # fmt: skip
        except (KeyError, TypeError, ValueError):
            return None

    async def put(self, release: str, thread: Thread | None) -> None:
        """Remember the thread of a release; None: forget it."""
        await self._kept.put(release, None if thread is None else asdict(thread))
