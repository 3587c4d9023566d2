"""What nobody watches when lbctl is removed: `python -m lbctl.daemon.remains`, run by the package before it goes.

With a daemon, its `lbctl status --json` comes on stdin. Without one the record itself is read: starting lbctld for the
question would be the wrong thing while it is taken away, and so would be putting a journal in order: a copy of it is
read. Says nothing where no release is in the middle.
"""

import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lbctl.config.fault import ConfigError
from lbctl.config.load import load
from lbctl.model.errors import LbctlError
from lbctl.model.record import Phase, Record
from lbctl.model.units import percent
from lbctl.store import tables
from lbctl.store.copied import copied

CONFIG = "/etc/lbctl/lbctl.yaml"
USUAL = "/var/lib/lbctl"
Moving = Mapping[tuple[str, str], Sequence[str]]
"""Which splits there are, by release and its phase."""


def main(arguments: Sequence[str]) -> int:
    """Print it. `-`: from a status on stdin; else from the record that the config at that path names."""
    try:
        lines = [*told(_of_status(json.load(sys.stdin)) if arguments == ["-"] else _of_record(*arguments))]
    except (LbctlError, OSError, ValueError, KeyError, sqlite3.Error) as error:
        lines = [f"lbctl: what runs could not be read ({error}); the load balancers go on as they are"]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def told(moving: Moving) -> Iterator[str]:
    """Yield what people must know of releases in the middle."""
    for (release, phase), shares in moving.items():
        yield f"lbctl: release {release} is in the middle ({phase}): {', '.join(shares)}"
    if moving:
        release = next(iter(moving))[0] if len(moving) == 1 else "ID"
        yield "  The load balancers go on with this split, and nobody watches it. To end it, install lbctl again, then"
        yield f"  lbctl promote {release} or lbctl rollback {release}. To go on without it: lbctl config render haproxy"
        yield "  --config /etc/lbctl/lbctl.yaml --freeze DIR, and --into /etc/haproxy/haproxy.cfg where its rules are"
        yield "  in that file; it still works from a checkout, as long as the package is not purged."


def _of_status(status: Any) -> Moving:
    moving: dict[tuple[str, str], list[str]] = {}
    for name, one in status["services"].items():
        if one["phase"] is not None and not Phase(one["phase"]).ended:
            share = f"{name} {percent(one['share_bp'])} on {one['candidate']}"
            moving.setdefault((str(one["release"]), one["phase"]), []).append(share)
    return moving


def _of_record(config: str = CONFIG) -> Moving:
    path = Path(_state_dir(config)) / "journal.db"
    if not path.exists():
        return {}
    with copied(str(path)) as (db, _):
        return of_record(tables.last_record(db).record or Record())


def of_record(record: Record) -> Moving:
    """Return the splits of the releases that have not ended. Followers go with the calls of their consumers."""
    return {
        (str(one.id), one.phase.value): [
            f"{name} {percent(one.share_bp)} on {member.to}" for name, member in one.members.items()
        ]
        for one in record.releases.values()
        if not one.phase.ended
    }


def _state_dir(config: str) -> str:
    try:
        return load(config, uid=os.getuid(), environ=os.environ, read_secrets=False).daemon.state_dir
    except (ConfigError, OSError):
        return USUAL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
