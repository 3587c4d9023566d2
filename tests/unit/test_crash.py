"""The crash points' door: what ends nothing, what is refused, and that the right passing ends the process."""

import subprocess
import sys

import pytest

from lbctl import crash
from lbctl.crash import EXIT, Point
from lbctl.model.errors import LbctlError


def test_without_the_variable_no_point_ends_anything() -> None:
    assert crash.arm({}) == ""
    for point in Point:
        crash.passing(point)
    assert crash.halves(Point.HAPROXY_BETWEEN, b"whole") == (b"whole",)


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("slot.replased:1", "did you mean slot.replaced:1"),
        ("slot.replaced", "write slot.replaced:1"),
        ("slot.replaced:0", "write slot.replaced:1"),
        ("slot.replaced:-1", "write slot.replaced:1"),
        ("slot.replaced:\N{SUPERSCRIPT TWO}", "write slot.replaced:1"),
        (":", "there is no point ''"),
    ],
)
def test_what_is_no_point_is_refused_with_the_next_step(text: str, then: str) -> None:
    with pytest.raises(LbctlError, match="unset it") as refused:
        crash.arm({"LBCTL_CRASH": text})
    assert then in str(refused.value)
    crash.passing(Point.SLOT_REPLACED)


@pytest.mark.parametrize(("passings", "code"), [(2, EXIT), (3, 0)])
def test_the_process_ends_at_the_passing_that_was_named_and_says_nothing(passings: int, code: int) -> None:
    program = (
        "from lbctl.crash import *; import os; arm(os.environ);"
        "[passing(Point.SLOT_LINKED) or passing(Point.SLOT_KEPT) for _ in range(2)]; print('on')"
    )
    environment = {"LBCTL_CRASH": f"slot.kept:{passings}"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (code, b"" if code else b"on\n")
