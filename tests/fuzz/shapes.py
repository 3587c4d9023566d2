"""64 KiB of what breaks parsers: one thing very often, very deep, or very long."""

from collections.abc import Iterator, Sequence

SIZE = 64 << 10
PIECES = (
    b"\0", b"\xff", b"\n", b"\r\n", b" ", b",", b":", b"1", b"9", b"a", b"[", b'{"a":', b'"', b"\\", b"(", b"- ", b"'",
    b"[[],", b"1,", b"a=", b"a: b\n", b"%41", b"\xc2\xb2", b"\xd9\xa1", b"\x1b[2J", b"\xe2\x80\xae", b"0x1: key=", b"|",
)  # fmt: skip


def shapes(samples: Sequence[bytes], pieces: Sequence[bytes] = PIECES) -> Iterator[bytes]:
    """Yield each piece repeated, and every sample repeated, stretched in its middle, or with a number without end."""
    for piece in pieces:
        yield (piece * (SIZE // len(piece)))[:SIZE]
    for sample in samples:
        if not sample or len(sample) > SIZE // 2:
            continue
        yield (sample * (SIZE // len(sample) + 1))[:SIZE]
        half = len(sample) // 2
        for piece in (b"1", b" ", b"a", b"[", b"\n", b"a,"):
            yield sample[:half] + piece * ((SIZE - len(sample)) // len(piece)) + sample[half:]


def numbers(samples: Sequence[bytes], most: int = 60) -> Iterator[bytes]:
    """Yield every sample with each of its numbers replaced by what Python takes for digits, and by far too many."""
    for sample in samples:
        for start, end in runs(sample)[:most]:
            for text in ("²", "\u0661", "9" * 5_000, "-1", "1_0", "9" * 30, "1e999", "nan", ""):
                yield sample[:start] + text.encode() + sample[end:]


def runs(sample: bytes) -> list[tuple[int, int]]:
    """Return where the runs of digits are."""
    found: list[tuple[int, int]] = []
    for at, byte in enumerate(sample):
        if not 48 <= byte <= 57:
            continue
        if found and found[-1][1] == at:
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return found
