"""HTTP targets: one prepared request, judged by the status in the first bytes of the answer."""

import socket

from lbctl.probe.answer import BODY_MAX, HEAD_MAX, NotHttp, length_of, status_of
from lbctl.probe.endpoint import READ, Phase, TcpEndpoint
from lbctl.probe.target import Target
from lbctl.probe.words import Verdict


class HttpEndpoint(TcpEndpoint):
    """Sends a prepared request and judges by the status in the first bytes. Reuses the connection where that is asked
    for and the answer's end is certain."""

    __slots__ = ("_held", "_request", "_reused", "_status")
    _receive_max = 4_096

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        connection = "keep-alive" if target.keep_alive else "close"
        self._request = (
            f"GET {target.path} HTTP/1.1\r\nHost: {target.authority}\r\nUser-Agent: lbctl\r\n"
            f"Accept: */*\r\nConnection: {connection}\r\n\r\n"
        ).encode("ascii")
        self._status = target.status
        self._held = b""
        self._reused = False

    def begin(self) -> Verdict | None:
        self._held = b""
        self._reused = self.phase is Phase.RESTING
        try:
            if self._reused:
                return self._ask()
            self.close()
            self._connect()
            return self._greet()
        except OSError as error:
            return self._fail_or_reopen(error)

    def advance(self) -> Verdict | None:
        try:
            match self.phase:
                case Phase.CONNECTING:
                    return self._greet()
                case Phase.SHAKING:
                    return self._shake()
                case Phase.ANSWERING:
                    return self._hear()
                case Phase.REST | Phase.RESTING:
                    self._drop_rest()
                case Phase.CLOSED:
                    pass
        except OSError as error:
            return self._fail_or_reopen(error)
        return None

    def _prepare(self, sock: socket.socket) -> None:
        # The last packet of the handshake then travels with the request: one packet less for each check.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)

    def _greet(self) -> Verdict | None:
        """The connection may be there. A send tells, and on a near host it spares waiting for the event."""
        return self._ask()

    def _shake(self) -> Verdict | None:
        raise AssertionError("plain HTTP has no handshake")

    def _ask(self) -> Verdict | None:
        assert self._sock is not None
        try:
            sent = self._sock.send(self._request)
        except BlockingIOError:
            return None  # Not connected yet.
        if sent != len(self._request):
            self.close()
            return Verdict(None, "the checker itself: no room to send a request")
        self.phase = Phase.ANSWERING
        self.wants = READ
        return None

    def _receive(self) -> bytes | None:
        """Return what has come, b"" at the end, None if nothing is here."""
        assert self._sock is not None
        try:
            return self._sock.recv(self._receive_max)
        except BlockingIOError:
            return None

    def _hear(self) -> Verdict | None:
        data = self._receive()
        if data is None:
            return None
        if not data:
            return self._cut_off()
        self._held = held = self._held + data if self._held else data
        try:
            status = status_of(held)
        except NotHttp:
            self.close()
            return Verdict(False, "answer is not HTTP")
        if status is None:
            return None
        self._after_status()
        return self._judge(status)

    def _judge(self, status: int) -> Verdict:
        lowest, highest = self._status
        if lowest <= status <= highest:
            return Verdict(True, f"HTTP {status}")
        return Verdict(False, f"HTTP {status}", status == 408)

    def _cut_off(self) -> Verdict | None:
        if self._reused and not self._held:
            return self._reopen()
        started = bool(self._held)
        self.close()
        return Verdict(False, "answer cut off" if started else "closed without an answer", True)

    def _fail_or_reopen(self, error: OSError) -> Verdict | None:
        """A server may close an idle connection at any moment: that says nothing, so ask once more on a new one."""
        return self._reopen() if self._reused and not self._held else self._fail(error)

    def _reopen(self) -> Verdict | None:
        self._reused = False
        self.close()
        return self.begin()

    def _after_status(self) -> None:
        if not self.target.keep_alive:
            self.close()
            return
        self.phase = Phase.REST
        self._keep_if_whole()

    def _drop_rest(self) -> None:
        """Between probes: take in the rest of a body. Anything else on the connection ends it."""
        data = self._receive()
        if data is None:
            return
        if not data or self.phase is Phase.RESTING:
            self.close()
            return
        self._held += data
        self._keep_if_whole()

    def _keep_if_whole(self) -> None:
        head_ended = b"\r\n\r\n" in self._held
        length = length_of(self._held)
        if head_ended and length == len(self._held):
            self.phase = Phase.RESTING
            self._held = b""
        elif (head_ended and (length is None or length < len(self._held))) or len(self._held) > HEAD_MAX + BODY_MAX:
            self.close()
