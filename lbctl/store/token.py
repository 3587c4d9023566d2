"""Go-tokens: one small file per release in the runtime directory that says whether traffic may be raised.

`go` may, `hold` may not until the lowering is durable, `back` never again. Each call is one rename or one creation, so
that every crash leaves one of these states; a rename needs no room, so a full disk cannot keep a release from going
back. The directory lives on tmpfs and is kept over restarts of lbctld: after a reboot there is no token.
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from lbctl.crash import Point, passing
from lbctl.model.errors import StoreError
from lbctl.model.names import ReleaseId
from lbctl.model.reading import Token
from lbctl.store.files import make_private, take_lock

_FILE = re.compile(r"([0-9]{1,18})\.([0-9a-f]{1,64})\.(go|hold|back)", re.ASCII)
_STRONGEST_FIRST = (Token.BACK, Token.HOLD, Token.GO)


class TokenDir:
    """The directory of tokens (made 0700 when it is missing). Used by one daemon; calls are short and synchronous.

    Every method raises StoreError naming the path and what to do when the directory is not ours or cannot be used.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        os.close(self._open())

    def take(self) -> int:
        """Keep every other lbctld from these tokens until the returned descriptor is closed, or the process ends.

        Taken before the first change: two daemons with journals of their own would sweep each other's tokens away.

        Raises:
            StoreError: another one has them; the text names its pid.
        """
        return take_lock(self._path / "lock", "this runtime directory")

    def make_go(self, release: ReleaseId, nonce: str) -> None:
        """Allow raises. Done before the record that names `nonce` is written. Refused once it was marked back."""
        if self.read(release, nonce) in {Token.BACK, Token.HOLD}:
            raise StoreError(f"{self._path}: release {release} was told to stop: only a new nonce can allow it again")
        self._in_directory(lambda fd: _create(fd, _name(release, nonce, Token.GO)))

    def mark_back(self, release: ReleaseId, nonce: str) -> None:
        """Forbid raises for good: renames whichever file is there, and makes `back` if none is. Repeating is fine."""

        def mark(fd: int) -> None:
            back = _name(release, nonce, Token.BACK)
            moved = _renamed(fd, _name(release, nonce, Token.GO), back)
            passing(Point.TOKEN_BETWEEN)
            if not _renamed(fd, _name(release, nonce, Token.HOLD), back) and not moved:
                _create(fd, back)

        self._in_directory(mark)

    def mark_hold(self, release: ReleaseId, nonce: str) -> None:
        """Forbid raises until `mark_go_again`. Without a `go` there is nothing to forbid."""
        self._in_directory(lambda fd: _renamed(fd, _name(release, nonce, Token.GO), _name(release, nonce, Token.HOLD)))

    def mark_go_again(self, release: ReleaseId, nonce: str) -> None:
        """Allow raises after a `hold`; nothing else becomes `go` by this."""
        if self.read(release, nonce) is Token.HOLD:
            hold, go = _name(release, nonce, Token.HOLD), _name(release, nonce, Token.GO)
            self._in_directory(lambda fd: _renamed(fd, hold, go))

    def read(self, release: ReleaseId, nonce: str) -> Token:
        """Return the token; of several files (a crash between two calls) the most careful one counts."""
        names = {token: _name(release, nonce, token) for token in _STRONGEST_FIRST}
        found: list[Token] = []
        self._in_directory(lambda fd: found.extend(token for token, name in names.items() if _is_ours(fd, name)))
        return found[0] if found else Token.NONE

    def remove(self, release: ReleaseId, nonce: str) -> None:
        """Remove every token of an ended release."""

        def unlink(fd: int) -> None:
            for token in _STRONGEST_FIRST:
                with suppress(FileNotFoundError):
                    os.unlink(_name(release, nonce, token), dir_fd=fd)

        self._in_directory(unlink)

    def sweep(self, named: Mapping[ReleaseId, str]) -> list[str]:
        """Remove the tokens that no record names (`named`: release to nonce); returns their names. Other files stay."""
        removed: list[str] = []

        def sweep(fd: int) -> None:
            for name in os.listdir(fd):
                parts = _FILE.fullmatch(name)
                if parts and named.get(ReleaseId(parts[1])) != parts[2]:
                    os.unlink(name, dir_fd=fd)
                    removed.append(name)

        self._in_directory(sweep)
        return removed

    def _in_directory(self, act: Callable[[int], object]) -> None:
        # Opened anew each time: a directory that was replaced must not leave us working in the removed one.
        fd = self._open()
        try:
            act(fd)
        except OSError as error:
            raise StoreError(
                f"{self._path}: {error.filename or 'token'}: {_said(error)}: check that this directory is on tmpfs, "
                "has room and belongs to the user lbctld runs as"
            ) from error
        finally:
            os.close(fd)

    def _open(self) -> int:
        try:
            make_private(self._path)
            fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"{self._path}: {_said(error)}: make it a directory of lbctld's user, 0700") from error
        found = os.fstat(fd)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            os.close(fd)
            mode = f"uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}"
            raise StoreError(f"{self._path}: others may write or read there ({mode}): chown and chmod 0700 it")
        return fd


def _name(release: ReleaseId, nonce: str, token: Token) -> str:
    name = f"{release}.{nonce}.{token.value}"
    if not _FILE.fullmatch(name):
        raise StoreError(f"{name!r}: not a token's name: a release is digits, a nonce is lower-case hexadecimal")
    return name


def _said(error: OSError) -> str:
    return f"{error.strerror} ({errno.errorcode.get(error.errno or 0, 'no errno')})"


def _create(fd: int, name: str) -> None:
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd))
    except FileExistsError:
        if not _is_ours(fd, name):
            raise


def _renamed(fd: int, old: str, new: str) -> bool:
    try:
        os.rename(old, new, src_dir_fd=fd, dst_dir_fd=fd)
    except FileNotFoundError:
        return False
    return True


def _is_ours(fd: int, name: str) -> bool:
    try:
        found = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
