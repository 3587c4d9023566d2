"""Rights by what the kernel says of the peer: real processes of other users on a real socket."""

import asyncio
import json
import os
import pwd
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lbctl.config.accounts import Principal
from lbctl.config.settings import Access
from lbctl.control.door import Limits
from lbctl.control.listener import listen
from lbctl.control.login import UNSET, read_login
from lbctl.control.server import ControlServer
from lbctl.model.names import ServiceName
from lbctl.model.request import Rollback
from tests.fake_desk import FakeDesk, joint, release, shop, unit

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")

STRANGER, OBSERVER, OPERATOR, GATE = 40_001, 40_002, 40_003, 40_004
ACCESS = Access(
    observe=(Principal(is_group=True, id=OBSERVER, text="group lbctl"),),
    operate=(Principal(is_group=True, id=OPERATOR, text="group lbctl-admin"),),
    gate={ServiceName("web"): (Principal(is_group=True, id=GATE, text="group ci-web"),)},
)
ASK = """
import http.client, json, os, socket, sys
path, method, target, uid, groups, count, body, login = sys.argv[1:]
if login:
    with open("/proc/self/loginuid", "w") as file:
        file.write(login)
os.setgroups([int(one) for one in groups.split(",") if one])
os.setgid(int(uid))
os.setuid(int(uid))
found = []
for _ in range(int(count)):
    connection = http.client.HTTPConnection("lbctl")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request(method, target, body if method == "POST" else None)
    answer = connection.getresponse()
    found.append([answer.status, json.loads(answer.read())])
print(json.dumps(found[-1]))
"""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that other users can reach; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="lbctl-peers-") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.fixture
async def serve(open_to_all: Path) -> AsyncIterator[Callable[..., Any]]:
    servers = []

    async def begin(desk: FakeDesk, access: Access, limits: Limits | None = None) -> str:
        path = str(open_to_all / "run" / "control.sock")
        server = ControlServer(desk, listen(path), access=lambda: access, limits=limits)
        await server.start()
        servers.append(server)
        return path

    yield begin
    for server in servers:
        await server.stop()


async def ask(
    path: str,
    method: str,
    target: str,
    *,
    uid: int,
    groups: tuple[int, ...] = (),
    count: int = 1,
    sent: dict[str, Any] | None = None,
    login: int | str = "",
) -> tuple[int, dict[str, Any]]:
    """Ask as that user with those supplementary groups, who logged in as another one if `login` says so."""
    words = (path, method, target, str(uid), ",".join(map(str, groups)), str(count), json.dumps(sent or {}), str(login))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ASK, *words, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    status, body = json.loads(out)
    return status, body


@pytest.mark.parametrize(
    ("groups", "method", "target", "status"),
    [
        ((), "GET", "/v1/status", 403),
        ((), "GET", "/v1/openapi.json", 403),
        ((OBSERVER,), "GET", "/v1/status", 200),
        ((OBSERVER,), "POST", "/v1/releases/7/rollback", 403),
        ((GATE,), "GET", "/v1/status", 200),
        ((GATE,), "POST", "/v1/releases/7/rollback", 200),
        ((GATE,), "POST", "/v1/releases/web/pause", 200),
        ((GATE,), "POST", "/v1/releases/7/resume", 403),
        ((GATE,), "POST", "/v1/releases/99/rollback", 403),
        ((OPERATOR,), "POST", "/v1/releases/7/resume", 200),
        ((OPERATOR,), "POST", "/v1/releases/99/rollback", 404),
        ((OPERATOR,), "POST", "/v1/maintenance", 403),
        ((OPERATOR,), "POST", "/v1/config/reload", 403),
        ((GATE,), "POST", "/v1/freezes", 403),
        ((OBSERVER, OPERATOR, GATE), "POST", "/v1/releases/7/promote", 200),
    ],
)
async def test_supplementary_groups_decide(
    serve: Callable[..., Any], groups: tuple[int, ...], method: str, target: str, status: int
) -> None:
    path = await serve(FakeDesk(), ACCESS)
    found, body = await ask(path, method, target, uid=STRANGER, groups=groups)
    assert found == status, body
    if status == 403:
        assert body["exit_code"] == 6
        assert f"uid {STRANGER} may not do this: it needs the role" in body["title"]
        assert " is for " in body["detail"]
        assert body["then"]


async def test_a_refusal_names_the_user_who_asked(serve: Callable[..., Any]) -> None:
    path = await serve(FakeDesk(), ACCESS)
    _, body = await ask(path, "GET", "/v1/status", uid=pwd.getpwnam("daemon").pw_uid)
    assert "(daemon) may not do this: it needs the role observe" in body["title"]


async def test_a_wrong_name_is_told_to_who_may_look_and_to_nobody_else(serve: Callable[..., Any]) -> None:
    path = await serve(FakeDesk(), ACCESS)
    status, body = await ask(path, "POST", "/v1/services/wep/claim", uid=STRANGER, groups=(GATE,))
    assert (status, body["code"]) == (404, "no_such_service")
    status, body = await ask(path, "POST", "/v1/services/wep/claim", uid=STRANGER)
    assert (status, body["code"]) == (403, "not_authorised")


READY = {"unit": "shop", "version": "2", "build": "https://ci/1"}


@pytest.mark.parametrize(
    ("target", "sent", "status"),
    [
        ("/v1/services/accounts/claim", {}, 200),
        ("/v1/services/accounts/ready", READY, 200),
        ("/v1/services/accounts/withdraw", {"unit": "shop"}, 200),
        ("/v1/services/accounts/take-over", {}, 403),
        ("/v1/services/storefront/claim", {}, 403),
        ("/v1/services/storefront/ready", READY, 403),
        ("/v1/services/storefront/withdraw", {"unit": "shop"}, 403),
        ("/v1/services/shop/claim", {}, 403),
        ("/v1/services/accounts/adopt", {"active": "blue"}, 403),
        ("/v1/releases", {"service": "shop"}, 403),
        ("/v1/releases/7/rollback", {}, 200),
        ("/v1/releases/shop/pause", {}, 200),
        ("/v1/releases/accounts/rollback", {}, 404),
        ("/v1/releases/storefront/rollback", {}, 200),
        ("/v1/releases/shop/resume", {}, 403),
        ("/v1/releases/6/rollback", {}, 403),
        ("/v1/releases/web/rollback", {}, 403),
    ],
)
async def test_the_gate_of_a_service_speaks_for_it_alone_and_may_stop_its_unit(
    serve: Callable[..., Any], target: str, sent: dict[str, Any], status: int
) -> None:
    """Release 7 is of the unit, and accounts does not even go with it; release 6 is another service's."""
    desk = FakeDesk()
    desk.views, desk.units = {**desk.views, **shop()}, {"shop": unit()}
    alone = {"service": "storefront", "unit": "shop", "members": joint()["members"][:1]}
    desk.record = [release(**alone), release(id="6")]
    gate = {ServiceName("accounts"): ACCESS.gate[ServiceName("web")]}
    path = await serve(desk, Access(gate=gate))
    found, body = await ask(path, "POST", target, uid=STRANGER, groups=(GATE,), sent=sent)
    assert found == status, body
    assert bool(desk.asked) == (status == 200)


async def test_without_access_a_stranger_gets_nothing_and_root_everything(serve: Callable[..., Any]) -> None:
    path = await serve(FakeDesk(), Access())
    assert (await ask(path, "GET", "/v1/status", uid=STRANGER))[0] == 403
    assert (await ask(path, "GET", "/v1/status", uid=0))[0] == 200
    assert (await ask(path, "POST", "/v1/releases/7/rollback", uid=0))[0] == 200


async def test_the_audit_names_the_peer_as_the_kernel_does(serve: Callable[..., Any]) -> None:
    desk = FakeDesk()
    path = await serve(desk, ACCESS)
    await ask(path, "POST", "/v1/releases/7/rollback", uid=STRANGER, groups=(OPERATOR,))
    asked = desk.asked[0]
    assert isinstance(asked, Rollback)
    assert asked.actor.startswith(f"uid {STRANGER} pid ")
    assert "logged in" not in asked.actor


def logs_in() -> bool:
    """Whether this kernel keeps login uids, and this process has none yet: then it may give one to a child."""
    kept = Path("/proc/self/loginuid")
    return kept.exists() and kept.read_text().strip() == str(UNSET)


@pytest.mark.skipif(not logs_in(), reason="the kernel keeps no login uid, or somebody logged in to run the tests")
async def test_the_audit_names_as_whom_a_peer_logged_in_before_it_became_root(serve: Callable[..., Any]) -> None:
    desk = FakeDesk()
    path = await serve(desk, ACCESS)
    await ask(path, "POST", "/v1/releases/7/rollback", uid=0, login=OPERATOR)
    asked = desk.asked[0]
    assert (asked.uid, asked.login) == (0, OPERATOR)
    assert asked.actor.startswith("uid 0 (root) pid ")
    assert asked.actor.endswith(f", logged in as uid {OPERATOR}")


def test_whoever_has_ended_or_is_another_user_now_logged_in_as_nobody() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        assert read_login(ours, gone.pid, 0) is None
        assert read_login(ours, os.getpid(), STRANGER) is None
        assert read_login(ours, 0, 0) is None


async def test_a_user_with_many_idle_connections_disturbs_only_itself(serve: Callable[..., Any]) -> None:
    path = await serve(FakeDesk(), ACCESS, Limits(per_user=2, connections=6, per_privileged=4))
    status, _ = await ask(path, "GET", "/v1/status", uid=STRANGER, groups=(OBSERVER,), count=10)
    assert status == 200
    assert (await ask(path, "GET", "/v1/status", uid=0))[0] == 200
