"""`lbctl judge` as people run it: in pipes, on files, live; no daemon is there."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, "-m", "lbctl.cli", "judge")
PIPE = asyncio.subprocess.PIPE


def tick(t: int, bad: int = 0) -> bytes:
    error = {"candidate": [20, bad], "active": [180, 0]}
    return json.dumps({"t": t, "dt": 1.0, "share_bp": 1000, "streams": {"error": error}}).encode() + b"\n"


async def start(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(*COMMAND, *words, stdin=PIPE, stdout=PIPE, stderr=PIPE)


async def run(source: bytes, *words: str) -> tuple[int | None, list[dict[str, Any]], str]:
    process = await start(*words)
    out, err = await asyncio.wait_for(process.communicate(source), 30)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()


async def test_every_verdict_is_there_before_the_next_tick_is_written() -> None:
    process = await start()
    assert process.stdin is not None
    assert process.stdout is not None
    said = []
    for t in range(6):
        process.stdin.write(tick(t, bad=15 if t >= 3 else 0))
        said.append(json.loads(await asyncio.wait_for(process.stdout.readline(), 30)))
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert [one["t"] for one in said] == [0, 1, 2, 3, 4, 5]
    assert [one["verdict"] for one in said][:3] == ["advance"] * 3
    assert said[-1]["verdict"] == "rollback"
    assert said[-1].keys() == {"t", "verdict", "code", "reason", "odds", "limit"}


async def test_the_end_of_the_input_is_a_good_end_and_the_code_tells_of_a_rollback_only_when_asked() -> None:
    bad, good = tick(1, 18) + tick(2, 18) + tick(3, 0), tick(1) + tick(2)
    assert (await run(bad))[0] == 0
    assert (await run(bad, "--detailed-exitcode"))[0] == 20
    assert (await run(good, "--detailed-exitcode"))[0] == 0
    assert await run(b"") == (0, [], "")


async def test_a_bad_line_ends_it_with_its_number_after_what_was_judged() -> None:
    code, said, err = await run(tick(1) + b"\n" + tick(2) + b'{"t": 3, "dt": 1, "share_bp": 1000, "stream": null}\n')
    assert (code, [one["t"] for one in said]) == (2, [1, 2])
    assert "error: line 4: there is no stream\n" in err
    assert "  next  did you mean streams?\n" in err


async def test_a_bad_setting_is_told_before_any_tick_comes() -> None:
    process = await start()
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b'{"settings": {"false_rolback": 0.01}}\n')
    assert b"line 1: settings.false_rolback" in await asyncio.wait_for(process.stderr.readline(), 30)
    assert await asyncio.wait_for(process.wait(), 30) == 2


async def test_a_last_line_without_its_end_counts() -> None:
    assert [one["t"] for one in (await run(tick(1) + tick(2).rstrip()))[1]] == [1, 2]


async def test_a_line_of_two_megabytes_is_refused_not_read() -> None:
    code, said, err = await run(tick(1) + b" " * (2 << 20))
    assert (code, len(said)) == (2, 1)
    assert "line 2: longer than 1048576 bytes" in err


async def test_slow_requests_that_come_later_are_told_once() -> None:
    error = {"candidate": [20, 0], "active": [180, 0]}
    late = [{"t": t, "dt": 1, "share_bp": 1000, "streams": {"error": error, "slow50": error}} for t in (2, 3)]
    code, said, err = await run(tick(1) + b"".join(json.dumps(one).encode() + b"\n" for one in late))
    assert (code, len(said)) == (0, 3)
    assert err.count("line 2: slow requests are not judged") == 1
    assert "line 3" not in err


async def test_a_recording_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "recorded.jsonl"
    file.write_bytes(tick(1) + tick(2))
    code, said, _ = await run(b"", str(file))
    assert (code, len(said)) == (0, 2)
    code, _, err = await run(b"", str(tmp_path / "none.jsonl"))
    assert code == 2
    assert "none.jsonl" in err


@pytest.mark.parametrize("ending", ["interrupt", "reader gone"])
async def test_it_ends_at_once_by_ctrl_c_and_when_nobody_reads(ending: str) -> None:
    process = await start()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(tick(1))
    await asyncio.wait_for(process.stdout.readline(), 30)
    if ending == "interrupt":
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 130
        return
    transport: Any = process._transport
    transport.get_pipe_transport(1).close()
    for t in range(2, 50):
        process.stdin.write(tick(t))
    assert await asyncio.wait_for(process.wait(), 30) == 141


async def test_ten_thousand_ticks_take_seconds_and_little_memory() -> None:
    code, said, _ = await run(b"".join(tick(t) for t in range(10_000)))
    assert (code, len(said)) == (0, 10_000)
    assert {one["verdict"] for one in said} == {"advance"}
