"""From bytes to text that is fit to be read: bounded, UTF-8, no invisible characters, no tabs as indentation."""

import re

from lbctl.config.fault import Mark
from lbctl.config.nodes import Malformed

SIZE_MAX = 1_048_576

_TAB = re.compile(r"^ *\t", re.MULTILINE)
_ALIEN = re.compile(
    "\r(?!\n)|[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def decoded(raw: bytes) -> str:
    """Return the text of a config.

    Raises:
        Malformed: it is too large, or has what no config has; with the place.
    """
    if len(raw) > SIZE_MAX:
        raise Malformed(Mark(), f"{len(raw)} bytes are more than a config's 1 MB", "give the file that was meant")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        raise Malformed(_mark_at(before, len(before)), "not UTF-8", "save the file as UTF-8") from None
    for pattern, what, then in (
        (_ALIEN, "a control or invisible character", "delete it"),
        (_TAB, "a tab as indentation", "indent with spaces"),
    ):
        found = pattern.search(text)
        if found:
            raise Malformed(_mark_at(text, found.end() - 1), what, then)
    return text


def _mark_at(text: str, index: int) -> Mark:
    start = text.rfind("\n", 0, index) + 1
    return Mark(text.count("\n", 0, index) + 1, index - start + 1)
