"""The imperative shell: one task owns the state, everything else only puts facts and requests in its inbox."""

import sys

# structlog imports rich where that is installed, to colour tracebacks: 4 MB, and a tenth of a second at every start.
if not {"rich", "structlog"} & sys.modules.keys():
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]
