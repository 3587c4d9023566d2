"""HTTPS targets: the handshake runs in the same loop, and the certificate is always verified.

Imported only when a set has such a target, because `ssl` costs several megabytes.
"""

import ssl
from functools import lru_cache

from lbctl.probe.endpoint import READ, WRITE, Phase
from lbctl.probe.http_check import HttpEndpoint
from lbctl.probe.target import Target
from lbctl.probe.words import Verdict, clean, failure


@lru_cache(maxsize=64)
def context_for(ca: str) -> ssl.SSLContext:
    """Return a verifying context for a CA file (empty: the system's store).

    Raises:
        OSError, ssl.SSLError: the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class TlsEndpoint(HttpEndpoint):
    """A new handshake for each fresh connection: no session is resumed, so the certificate is looked at each time."""

    __slots__ = ("_broken", "_context", "_name")
    cost = 8
    _receive_max = 16_384  # One whole record, so that nothing stays behind inside the TLS layer.

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._name = target.tls_name or target.ip
        self._broken = ""
        self._context: ssl.SSLContext | None = None
        try:
            self._context = context_for(target.tls_ca)
        except OSError as error:
            self._broken = clean(f"the checker itself: CA file {target.tls_ca}: {error.strerror or error}")

    def begin(self) -> Verdict | None:
        return Verdict(None, self._broken) if self._broken else super().begin()

    def _greet(self) -> Verdict | None:
        assert self._sock is not None
        assert self._context is not None
        if not self._is_connected():
            return None
        try:
            self._sock = self._context.wrap_socket(
                self._sock, server_hostname=self._name, do_handshake_on_connect=False
            )
        except ValueError as error:
            self.close()
            return Verdict(None, clean(f"the checker itself: TLS name {self._name}: {error}"))
        self.phase = Phase.SHAKING
        return self._shake()

    def _shake(self) -> Verdict | None:
        assert isinstance(self._sock, ssl.SSLSocket)
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self.wants = READ
            return None
        except ssl.SSLWantWriteError:
            self.wants = WRITE
            return None
        return self._ask()

    def _ask(self) -> Verdict | None:
        try:
            return super()._ask()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self.close()
            return Verdict(None, "the checker itself: no room to send a request")

    def _receive(self) -> bytes | None:
        try:
            return super()._receive()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def _fail(self, error: OSError) -> Verdict:
        self.close()
        match error:
            case ssl.SSLCertVerificationError():
                return Verdict(False, clean(f"certificate verify failed: {error.verify_message}"))
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
                return Verdict(False, "closed during the TLS handshake", True)
            case ssl.SSLError():
                return Verdict(False, clean(f"TLS: {(error.reason or 'failed').replace('_', ' ').lower()}"))
            case _:
                return failure(error)
