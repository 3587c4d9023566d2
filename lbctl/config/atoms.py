"""The smallest kinds of value that several sections share, and the mark of a key that this version has not."""

from lbctl.config.composite import Key
from lbctl.config.hostkinds import FilePath
from lbctl.config.kinds import Text

NAME = Text("a name", r"[a-z0-9][a-z0-9._-]{0,62}", "use at most 63 of a-z 0-9 . _ - and begin with a letter or digit")
TOKEN = Text("a cookie name", r"[A-Za-z0-9_.-]{1,80}", "use letters, digits and _ . -")
PROGRAM = Text("a program's name", r"[!-~]{1,15}", "use its name as `ps -e` shows it, 15 characters at most")
COOKIE_VALUE = Text("a cookie value", r"[A-Za-z0-9._~:/+@-]{1,128}", "use letters, digits and . _ ~ : / + @ -")
BACKEND = Text("a backend name", r"[A-Za-z0-9_.:-]{1,128}", "use the backend's name as HAProxy has it")
URL_PATH = Text("a path", r"/[!-~]{0,2047}", "begin with / and use no blanks, as in /healthz")
HOST = Text("a host name", r"[A-Za-z0-9_.:\[\]-]{1,253}", "write a host name as app.example")
HEADER = Text("a header name", r"[A-Za-z0-9-]{1,64}", "use letters, digits and -, as in X-Lbctl-Pool")
WHEN = Text(
    "a time",
    r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00|[0-9]{4}-[01][0-9]-[0-3][0-9] ([01][0-9]|2[0-3]):[0-5][0-9]",
    'write it in quotes, as "16:00" or "2026-12-20 18:00"',
)
ZONE = Text("a time zone", r"[A-Za-z][A-Za-z0-9_+/-]{0,63}", "write it as in Europe/Berlin, or UTC")
REASON = Text("a sentence", r"[^\x00-\x1f]{1,200}", "write one line of at most 200 characters")
PATH = FilePath()
SOCKET = FilePath("path of a unix socket", is_socket=True)
ADMIN = FilePath(
    "path of a unix socket",
    is_socket=True,
    no_path_then="Envoy's admin asks for no password, so it must be a unix socket: set `admin.address.pipe` in its "
    "bootstrap and write that path",
)


def later(doc: str = "") -> Key:
    """A key that the design has and this version has not."""
    return Key(kind=NAME, doc=doc, built=False)
