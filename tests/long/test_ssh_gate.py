"""A real sshd on loopback with a key that runs `lbctl gate`: what docs/how-to/pipelines.md says to write."""

import asyncio
import shlex
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lbctl.demo.ports import free_port
from lbctl.model.request import Claim
from tests.fake_desk import FakeDesk, claimed, served, shop, unit
from tests.integration.test_cli_commands import COMMAND, Done, ended

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
pytestmark = [pytest.mark.long, pytest.mark.skipif(SSHD is None, reason="no sshd: apt-get install openssh-server")]


@asynccontextmanager
async def sshd(directory: Path, forced: str) -> AsyncIterator[list[str]]:
    """Run an sshd whose only key does `forced`; yields the ssh command line up to the remote command."""
    directory.chmod(0o755)
    port = free_port()
    for name in ("host", "user"):
        await succeed("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name))
    key = (directory / "user.pub").read_text()
    quoted = forced.replace('"', '\\"')
    (directory / "authorized_keys").write_text(f'command="{quoted}",restrict {key}')
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    options = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": directory / "host",
        "PidFile": "none",
        "AuthorizedKeysFile": directory / "authorized_keys",
        "StrictModes": "no",
        "UsePAM": "no",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    process = await asyncio.create_subprocess_exec(str(SSHD), "-D", "-e", "-f", "/dev/null", *words)
    try:
        await answers(port)
        given = ("-F", "/dev/null", "-i", str(directory / "user"), "-p", str(port), "-o", "BatchMode=yes")
        trust = (
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            f"UserKnownHostsFile={directory}/known",
            "-o",
            "LogLevel=ERROR",
        )
        yield ["ssh", *given, *trust, "127.0.0.1"]
    finally:
        process.terminate()
        await process.wait()


async def succeed(*words: str) -> None:
    """Run something that must work."""
    process = await asyncio.create_subprocess_exec(*words)
    assert await process.wait() == 0, words


async def answers(port: int) -> None:
    """Wait until something accepts at the port."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return


async def run(*words: str) -> Done:
    """Run a client."""
    pipe = asyncio.subprocess.PIPE
    return await ended(
        await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    )


async def test_a_key_does_what_its_pipeline_needs_and_nothing_else(tmp_path: Path) -> None:
    desk = FakeDesk()
    desk.views, desk.units = shop(), {"shop": unit()}
    desk.views["accounts"]["claim"] = claimed()
    path = str(tmp_path / "control.sock")
    root = Path(__file__).parents[2]
    code = f"cd {root} && exec {shlex.join([*COMMAND, '--socket', path, 'gate', '--service', 'accounts'])}"
    async with served(desk, path), sshd(tmp_path, code) as client:
        done = await run(*client, "lbctl", "claim", "accounts", "--wait", "--reason", "'it''s; $(id)'")
        assert (done.code, done.out) == (0, "green\n"), done.err
        (claim,) = desk.asked
        assert isinstance(claim, Claim)
        assert claim.reason == "its; $(id)"
        for words in ((), ("id",), ("lbctl", "claim", "storefront"), ("lbctl claim accounts\nid",)):
            refused = await run(*client, *words)
            assert (refused.code, refused.out) == (6, ""), refused.err
            assert "it is for the pipeline of accounts" in refused.err
        assert (await run(*client, "claim", "accounts", ";", "id")).code == 2
        assert (await run(*client, "-N", "-W", "127.0.0.1:1")).code not in {0, None}
        assert len(desk.asked) == 1
