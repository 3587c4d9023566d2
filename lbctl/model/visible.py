"""Texts of strangers made fit to be seen, on a terminal, in a log, in one line: nothing in them moves a cursor then."""


def escaped(text: str, keep: str = "") -> str:
    """Return `text` with every character escaped that is not to be seen, except those of `keep`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else ascii(one)[1:-1] for one in text)


def printable(text: str, instead: str = "?") -> str:
    """Return `text` with `instead` for every character that is not to be seen: as long as before."""
    return "".join(one if one.isprintable() else instead for one in text)
