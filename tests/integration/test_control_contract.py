"""The control socket keeps its own OpenAPI document: whatever a client makes of that document, nothing answers 5xx, and
every answer has the shape that was promised. On a unix socket, as it is served."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lbctl.about import VERSION
from lbctl.control.listener import listen
from lbctl.control.openapi import document
from lbctl.control.server import ControlServer
from tests.fake_desk import FakeDesk, joint, shop, unit

pytest.importorskip("schemathesis", reason="pip install '.[dev]'")

import requests
import schemathesis
from requests.adapters import HTTPAdapter
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

DOCUMENT = schemathesis.openapi.from_dict(document(VERSION))
OPERATIONS = [one.ok() for one in DOCUMENT.get_all_operations()]
KEPT = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
NAMES = st.one_of(
    st.sampled_from(["web", "accounts", "storefront", "shop", "1", "7", "0", "ops", "november", "²", "9" * 25, "-1"]),
    st.text(min_size=1, max_size=70),
)
CONFIG = """apiVersion: lbctl/v1
daemon: {{state_dir: {at}/state, runtime_dir: {at}/run, control_socket: {at}/run/control.sock}}
data_planes:
  edge:
    driver: haproxy
    instances: {{lb1: {{socket: {at}/nobody.sock, master_socket: {at}/master.sock, map_dir: {at}/maps}}}}
services:
  accounts:
    data_plane: edge
    haproxy: {{form: map}}
    pools: {{blue: {{a-1: 127.0.0.1:1}}, green: {{a-2: 127.0.0.1:2}}}}
    listen: 127.0.0.1:19000
    consumers: {{storefront: {{pin: listener, blue: 127.0.0.1:19001, green: 127.0.0.1:19002}}}}
  storefront:
    data_plane: edge
    haproxy: {{form: map}}
    pools: {{blue: {{b-1: 127.0.0.1:3}}, green: {{b-2: 127.0.0.1:4}}}}
    listen: 127.0.0.1:18000
  web:
    data_plane: edge
    haproxy: {{form: map}}
    pools: {{blue: {{w-1: 127.0.0.1:5}}, green: {{w-2: 127.0.0.1:6}}}}
    listen: 127.0.0.1:17000
units:
  shop: {{services: [accounts, storefront]}}
alerts:
  - {{name: ops, exec: /bin/true}}
"""


class Unix(HTTPAdapter):
    """Reaches everything over one unix socket."""

    def __init__(self, path: str) -> None:
        class OverUnix(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                connected = socket.socket(socket.AF_UNIX)
                try:
                    connected.connect(path)
                except OSError:
                    connected.close()
                    raise
                return connected

        super().__init__()
        self._pool = HTTPConnectionPool("lbctl")
        self._pool.ConnectionCls = OverUnix

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """See `requests`."""
        return self._pool

    def close(self) -> None:
        """See `requests`."""
        self._pool.close()
        super().close()


@contextmanager
def client(path: str) -> Iterator[requests.Session]:
    with closing(requests.Session()) as session:
        session.mount("http://lbctl", Unix(path))
        yield session


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[requests.Session]:
    """The real server over a desk that accepts everything: there the shapes of good answers are seen."""
    path = str(tmp_path_factory.mktemp("fake") / "run" / "control.sock")
    loop = asyncio.new_event_loop()
    desk = FakeDesk()
    desk.views, desk.units, desk.record = {**desk.views, **shop()}, {"shop": unit()}, [joint()]
    server = ControlServer(desk, listen(path))
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with client(path) as session:
            yield session
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[requests.Session]:
    """A whole daemon whose load balancer is away."""
    at = tmp_path_factory.mktemp("real")
    (at / "lbctl.yaml").write_text(CONFIG.format(at=at))
    command = [sys.executable, "-m", "lbctl.daemon.main", "--config", str(at / "lbctl.yaml")]
    with open(at / "log", "w") as log, subprocess.Popen(command, stderr=log, stdout=log) as daemon:
        try:
            with client(str(at / "run" / "control.sock")) as session:
                until_it_answers(session, daemon, at / "log")
                yield session
        finally:
            daemon.terminate()
    assert "request.failed" not in (at / "log").read_text()


def until_it_answers(session: requests.Session, daemon: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(1_200):
        with contextlib.suppress(OSError, requests.ConnectionError):
            assert session.get("http://lbctl/v1/status").ok
            return
        assert daemon.poll() is None, log.read_text()
        time.sleep(0.05)
    pytest.fail("the daemon does not answer")


def kept(session: requests.Session, operation: Any, examples: int) -> None:
    """Try an operation with what its own description allows, and with what it does not."""

    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck), derandomize=examples < 50,
    )  # fmt: skip
    @given(operation.as_strategy(), st.data())
    def check(case: Any, data: st.DataObject) -> None:
        if isinstance(case.query, dict):
            case.query.pop("follow", None)
        case.path_parameters = {name: data.draw(NAMES) for name in case.path_parameters or {}}
        case.call_and_validate(base_url="http://lbctl", session=session, checks=KEPT)

    check()


EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=[one.label.replace("/", ".") for one in OPERATIONS])


@EACH
def test_every_answer_is_as_the_document_says(fake: requests.Session, operation: Any) -> None:
    kept(fake, operation, 2)


@EACH
def test_no_request_makes_a_daemon_answer_5xx(real: requests.Session, operation: Any) -> None:
    kept(real, operation, 3)


@pytest.mark.long
@EACH
def test_no_request_makes_a_daemon_answer_5xx_long(real: requests.Session, operation: Any) -> None:
    kept(real, operation, 300)


def test_the_document_that_is_served_is_the_one_that_is_tried(real: requests.Session) -> None:
    assert real.get("http://lbctl/v1/openapi.json").json() == document(VERSION)
