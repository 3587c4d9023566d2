"""A host that is unwell for lbctld alone: syncs that hang, names that nobody answers for, a wall clock that jumps."""

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from lbctl.demo.stage import Stage

SOURCE = Path(__file__).with_name("host.c")


@dataclass(frozen=True, slots=True)
class Host:
    """What lbctld believes of its host. It is told while it runs."""

    library: Path
    told: Path

    def be(self, *, sync_ms: int = 0, names_ms: int = 0, clock_s: int = 0) -> None:
        """Be so from now on; without words: well."""
        with self.told.open("r+b", buffering=0) as file:
            file.write(struct.pack("3l", sync_ms, names_ms, clock_s))

    async def take(self, here: Stage, disk: Path | None = None) -> None:
        """Start lbctld anew on this host. `disk`: only syncs of what lies below hang."""
        await here.daemon.stop()
        environment = {"LD_PRELOAD": str(self.library), "LBCTL_TEST_HOST": str(self.told)}
        if disk is not None:
            environment["LBCTL_TEST_DISK"] = str(disk)
        await here.daemon.start(environment=environment)
        await here.control.wait_up(20)


def host(directory: Path) -> Host:
    """Return a host that is well, or skip where nothing can be compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc")
    library = directory / "host.so"
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    told = directory / "host"
    told.write_bytes(struct.pack("3l", 0, 0, 0))
    return Host(library, told)
