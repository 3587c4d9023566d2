"""Secrets planted for a test, and the search for them: as they are, and as they may be hidden in something else."""

import base64
import gzip
import tarfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

FILE_MAX = 64 << 20


def forms(secret: str) -> Iterator[bytes]:
    """Yield what a secret may look like somewhere else."""
    raw = secret.encode()
    yield from (raw, raw[::-1], raw.hex().encode(), quote(secret, safe="").encode())
    # Whatever stands before it, two of three alignments are within this.
    yield from (base64.b64encode(raw[cut:])[:-4] for cut in range(3))
    yield from (base64.b64encode(b"x" * before + raw)[4:-4] for before in (1, 2))


def leaks(secrets: Mapping[str, str], found: Mapping[str, bytes]) -> list[str]:
    """Return which secrets stand in which of the things that were found; nothing of them is shown."""
    return [
        f"{name} in {place}"
        for place, content in found.items()
        for name, secret in secrets.items()
        if any(form in content for form in forms(secret))
    ]


def files_below(directory: Path) -> dict[str, bytes]:
    """Return every file of a directory; what is packed is unpacked as well."""
    found: dict[str, bytes] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= FILE_MAX:
            found |= unpacked(str(path.relative_to(directory)), path.read_bytes())
    return found


def unpacked(name: str, content: bytes) -> dict[str, bytes]:
    """Return a file, and what is in it if it is an archive."""
    found = {name: content}
    if content[:2] == b"\x1f\x8b":
        found[f"{name}:gunzip"] = plain = gzip.decompress(content)
        if tarfile.is_tarfile(BytesIO(plain)):
            with tarfile.open(fileobj=BytesIO(plain)) as archive:
                for one in archive.getmembers():
                    if (file := archive.extractfile(one)) is not None:
                        found[f"{name}:{one.name}"] = file.read()
    return found
