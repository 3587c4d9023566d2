"""The threat model names tests that exist, and counts what it counts."""

import re
from pathlib import Path

from tests.fuzz.targets import IN_LOOP_MS, TARGETS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "security.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| who")]


def test_every_line_of_the_threat_model_names_a_test_that_exists() -> None:
    assert len(ROWS) >= 12
    for row in ROWS:
        named = re.findall(r"`(tests/[^`]+)`", row)
        assert named, row
        assert not [one for one in named if not (ROOT / one).is_file()], row


def test_it_counts_the_parsers_and_their_time() -> None:
    assert f"`tests/fuzz/targets.py`: {len(TARGETS)}," in PAGE
    assert f"at most {IN_LOOP_MS:.0f} ms for 64 KiB" in PAGE
