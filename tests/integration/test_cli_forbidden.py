"""Who may not reach the socket is told so, and not that no daemon runs."""

import os
import socket
from pathlib import Path

from lbctl.cli.client import Client
from lbctl.cli.failure import Exit, Failure

NOBODY = 65_534


def test_a_socket_that_is_not_open_to_you_is_said_to_be_so(tmp_path: Path) -> None:
    path = str(tmp_path / "lbctl.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        Path(path).chmod(0)
        child = os.fork()
        if not child:
            os._exit(_asked(path))
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == Exit.NOT_AUTHORISED


def _asked(path: str) -> int:
    if not os.getuid():
        os.setuid(NOBODY)
    try:
        Client([path]).get("/v1/status")
    except Failure as failure:
        return failure.exit_code if path in failure.then else 99
    return 98
