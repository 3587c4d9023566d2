"""What a process holds, as the kernel says: memory, open files, processor time."""

import os
from pathlib import Path


def rss_kb(pid: int) -> int:
    """Memory that a process has in use, shared pages too."""
    return _kb(f"/proc/{pid}/status", "VmRSS:")


def pss_kb(pid: int) -> int:
    """The same, with what is shared divided among those who share it."""
    return _kb(f"/proc/{pid}/smaps_rollup", "Pss:")


def fd_count(pid: int) -> int:
    """Open files, sockets and pipes."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_s(pid: int) -> float:
    """User and system time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tree_bytes(directory: Path) -> int:
    """Bytes of all files below."""
    return sum(one.stat().st_size for one in directory.rglob("*") if one.is_file())


def _kb(file: str, key: str) -> int:
    return next(int(line.split()[1]) for line in Path(file).read_text().splitlines() if line.startswith(key))
