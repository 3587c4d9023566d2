"""Scenario files: what is done and seen, then `----`, then what is decided. `UPDATE=1` rewrites the decided half."""

import os
from pathlib import Path

import pytest

from tests.scenarios.stage import Stage

FILES = sorted(Path(__file__).parent.glob("*.txt"))


def played(text: str) -> str:
    """Return the scenario with its decided halves as they are now."""
    stage = Stage()
    blocks = []
    for block in text.strip().split("\n\n"):
        commands = block.split("\n----", 1)[0]
        for line in commands.splitlines():
            if line.strip() and not line.startswith("#"):
                stage.do(line)
        blocks.append("\n".join([commands, "----", *stage.take()]) if _acts(commands) else commands)
    return "\n\n".join(blocks) + "\n"


def _acts(commands: str) -> bool:
    return any(line.strip() and not line.startswith("#") for line in commands.splitlines())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_seen_leads_to_what_is_decided(file: Path) -> None:
    text = file.read_text()
    now = played(text)
    if os.environ.get("UPDATE"):
        file.write_text(now)
    else:
        assert now == text
