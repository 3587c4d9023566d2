"""How a command line starts: which sockets, what it imports, how wrong usage is answered."""

import subprocess
import sys
from pathlib import Path

import pytest

from lbctl.cli.app import main
from lbctl.cli.client import Client
from lbctl.cli.failure import Failure
from lbctl.cli.options import confirm, span_ms
from lbctl.cli.sockets import candidates

Captured = pytest.CaptureFixture[str]
DENIED = (
    *("aiohttp", "structlog", "rich", "psutil", "yaml", "msgspec", "prometheus_client"),
    *("asyncio", "sqlite3", "importlib.metadata", "lbctl.core", "lbctl.daemon", "lbctl.control", "lbctl.dataplane"),
)
IMPORTS = """
import sys
from lbctl.cli.app import main
code = main(sys.argv[1:])
print(code, *sorted(sys.modules))
"""


def test_a_named_socket_is_the_only_one_tried() -> None:
    environ = {"LBCTL_SOCKET": "/from/environ", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert candidates("/given", 1000, environ).paths == ["/given"]
    assert candidates(None, 1000, environ).paths == ["/from/environ"]


def test_without_a_name_the_users_own_socket_comes_before_the_systems() -> None:
    own = "/run/user/1000/lbctl/control.sock"
    assert candidates(None, 1000, {"XDG_RUNTIME_DIR": "/run/user/1000"}).paths == [own, "/run/lbctl/control.sock"]
    assert candidates(None, 0, {}).paths == ["/run/lbctl/control.sock"]


def test_a_directory_that_somebody_else_could_have_made_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "lbctl-1000").mkdir(mode=0o777)
    found = candidates(None, 1000, {"TMPDIR": str(tmp_path)})
    assert found.paths == ["/run/lbctl/control.sock"]
    assert found.skipped.startswith(f"{tmp_path}/lbctl-1000/control.sock ({tmp_path}/lbctl-1000 belongs to user ")


def test_the_socket_that_was_not_tried_is_named_with_the_reason(tmp_path: Path) -> None:
    client = Client([str(tmp_path / "none.sock")], "/t/lbctl-7/control.sock (it is open to others: chmod 700 it)")
    with pytest.raises(Failure) as caught:
        client.get("/v1/status")
    assert caught.value.why.endswith("; not tried: /t/lbctl-7/control.sock (it is open to others: chmod 700 it)")


def test_no_daemon_exits_3_and_names_the_sockets_tried(tmp_path: Path, capsys: Captured) -> None:
    socket = str(tmp_path / "none.sock")
    assert main(["--socket", socket, "status"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert socket in err
    assert "\n  next  " in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["swich", "web"], "did you mean switch?"),
        (["release", "wiat", "7"], "wiat"),
        (["maintenance", "perhaps"], "'perhaps' is not one of 'on', 'off'"),
        (["adopt", "web"], "--active"),
        (["freeze", "add", "sale", "--for", "4h", "--until", "2099-01-01 00:00"], "leave out --until"),
        (["freeze", "add", "sale", "--for", "4"], "'4' is not a duration"),
        (["release", "wait", "7", "--timeout", "5"], "'5' is not a duration"),
        (["status", "--nope"], "--nope"),
        (["--nope"], "--nope"),
    ],
)
def test_wrong_usage_exits_2_with_what_and_the_next_step(arguments: list[str], said: str, capsys: Captured) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert said in err
    assert "\n  next  lbctl" in err


@pytest.mark.parametrize("group", ["release", "config", "envoy", "notify"])
def test_a_group_without_a_command_shows_its_help_in_lines(group: str, capsys: Captured) -> None:
    assert main([group]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"Usage: lbctl {group} [OPTIONS] COMMAND [ARGS]...\n")
    assert "\nCommands:\n" in err


def test_help_lists_every_command_on_stdout(capsys: Captured) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in ("status", "switch", "rollback", "demo", "version"))


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [(">&-", 0, ""), ("2>&-", 0, ""), (">/dev/full", 1, "error: stdout cannot be written: No space left on device\n")],
)
def test_an_output_that_cannot_be_written_leaves_no_traceback(redirection: str, code: int, said: str) -> None:
    call = f"exec {sys.executable} -m lbctl.cli config schema {redirection}"
    done = subprocess.run(call, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, said)


def test_a_script_is_not_asked_and_does_what_it_says() -> None:
    confirm("Really?", yes=False)


def test_durations_are_read_exactly() -> None:
    assert span_ms("2s", "--hold") == 2_000
    assert span_ms("1h30m", "--hold") == 5_400_000


def test_status_imports_no_framework_and_nothing_of_the_daemon(tmp_path: Path) -> None:
    call = [sys.executable, "-c", IMPORTS, "--socket", str(tmp_path / "none.sock"), "status", "--json"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=True)
    code, *modules = done.stdout.split()
    assert code == "3"
    wrong = [name for name in modules if any(name == one or name.startswith(f"{one}.") for one in DENIED)]
    assert wrong == []


def test_status_starts_within_twelve_times_a_bare_interpreter(tmp_path: Path) -> None:
    bare = [sys.executable, "-c", "pass"]
    status = [sys.executable, "-m", "lbctl.cli", "--socket", str(tmp_path / "none.sock"), "status", "--json"]
    costs = [(_cpu_s(bare), _cpu_s(status)) for _ in range(5)]
    assert min(cost for _, cost in costs) <= 12 * min(cost for cost, _ in costs)


def _cpu_s(call: list[str]) -> float:
    """Return the processor time of one process, user and system: it does not count what others take meanwhile."""
    code = "import resource, subprocess, sys\nsubprocess.run(sys.argv[1:], capture_output=True, timeout=60)\n"
    code += "used = resource.getrusage(resource.RUSAGE_CHILDREN)\nprint(used.ru_utime + used.ru_stime)"
    done = subprocess.run([sys.executable, "-c", code, *call], capture_output=True, text=True, timeout=90, check=True)
    return float(done.stdout)
