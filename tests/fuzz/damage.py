"""Samples damaged at random: what a fuzzer without eyes does, and the same again for the same seed."""

import random
from collections.abc import Sequence

WORDS = (
    b"", b"\0", b"\n", b"\n\n", b"\r\n\r\n", b",", b":", b" ", b"-1", b"9" * 25, b"9" * 5_000, b"[" * 2_000, b"{", b"}",
    b'"', b"\\", b"\xff", "²".encode(), "\u0661".encode(), "\u202e".encode(), b"\x1b[2J", b"NaN", b"1e999", b"null",
    b"true",
)  # fmt: skip


def damaged(samples: Sequence[bytes], seed: int) -> bytes:
    """Return one of the samples with a few of its bytes taken out, doubled, or made something else."""
    dice = random.Random(seed)
    found = bytearray(dice.choice(samples))
    for _ in range(dice.randint(1, 6)):
        start = dice.randint(0, len(found))
        end = min(len(found), start + dice.choice((0, 1, 1, 2, 8, 64)))
        match dice.randrange(5):
            case 0:
                found[start:end] = dice.choice(WORDS)
            case 1:
                found[start:end] = dice.randbytes(dice.randint(0, 4))
            case 2:
                found[start:end] = found[start:end] * dice.choice((2, 3, 50))
            case 3:
                other = dice.choice(samples)
                at = dice.randint(0, len(other))
                found[start:end] = other[at : at + dice.choice((4, 40, 400))]
            case _:
                del found[start:end]
    return bytes(found[: 64 << 10])
