"""Errors by who must act. The text says what, where, and what to do next."""


class LbctlError(Exception):
    """Root of everything lbctl raises on purpose."""


class Refused(LbctlError):
    """The caller may not do this now. `code` is stable (docs/reference/errors.md); `exit_code` is the CLI's answer."""

    def __init__(self, code: str, what: str, *, why: str = "", then: str = "", exit_code: int = 5) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.why = why
        self.then = then
        self.exit_code = exit_code


class DataPlaneError(LbctlError):
    """A load balancer did not answer as it should. Retry at the next reading; traffic stays as it is."""


class Unreachable(DataPlaneError):
    """Nothing answered: socket missing, refused, no right, or no answer in time. The text says which and what to do."""


class Garbled(DataPlaneError):
    """It answered something that cannot be understood: another version, another process, or damage."""


class StoreError(LbctlError):
    """The journal cannot be read or written. Hold traffic, tell people; a rollback needs no journal."""
