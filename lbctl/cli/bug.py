"""A fault of lbctl itself, told in a sentence."""

import traceback

from lbctl.cli.failure import Exit, Failure


def told(error: BaseException) -> Failure:
    """Return the failure for something nobody foresaw, with the place for a report."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
    what = f"lbctl has a fault: {type(error).__name__}: {error}"
    return Failure(what, why=f"at {place}", then="report it with the output of lbctl version", exit_code=Exit.BUG)
