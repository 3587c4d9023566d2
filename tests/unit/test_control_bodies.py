"""What a body may say, and how a plan is made of it."""

from typing import Any

import msgspec
import pytest

from lbctl.control.bodies import PlanBody, SwitchBody, Why, decode, folded
from lbctl.control.plans import overlaid
from lbctl.model.errors import Refused
from lbctl.model.topology import Plan
from lbctl.model.units import DAY, HOUR, MINUTE, SECOND


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        (b'{"service": "web", "step": ["100%"]}', "did you mean steps?"),
        (b'{"service": 7}', "keys: service, "),
        (b'{"to": "green"}', "keys: service, "),
        (b'{"service": "web", "to": "purple"}', "keys: service, "),
        (b'{"service": "web", "steps": "5%"}', "keys: service, "),
        (b"[1]", "keys: service, "),
        (b"{", "send a JSON object"),
        (b"\xff\xfe", "send a JSON object"),
        (b'{"reason": ' + b"[" * 60_000, "keys: service, "),
    ],
)
def test_a_body_with_a_fault_is_refused_with_the_next_step(raw: bytes, hint: str) -> None:
    with pytest.raises(Refused) as refused:
        decode(raw, SwitchBody)
    assert (refused.value.code, refused.value.exit_code) == ("bad_body", 2)
    assert refused.value.then.startswith(hint)


def test_no_body_is_an_empty_one() -> None:
    assert decode(b"", Why).reason == ""


def test_a_reason_becomes_one_line_that_cannot_steer_a_terminal() -> None:
    assert folded("fix\r\n\tthe \x1b[31mred\x07 thing\u202e ") == "fix the [31mred thing"


def body(**given: Any) -> PlanBody:
    return msgspec.convert({"service": "web", **given}, PlanBody)


def test_what_is_left_out_comes_from_the_config() -> None:
    default = Plan(hold_min=MINUTE, bake=HOUR)
    assert overlaid(default, body()) == default


def test_bake_follows_hold_unless_it_is_given() -> None:
    assert overlaid(Plan(), body(hold="2s")).bake == 2 * SECOND
    assert overlaid(Plan(), body(hold="2s", bake="1m")).bake == MINUTE


def test_everything_given_is_taken() -> None:
    plan = overlaid(Plan(), body(steps=["5%", "25%", "50%", "100%"], hold="2s", bake="3s", retain="0s"))
    assert plan.steps_bp == (500, 2500, 5000, 10000)
    assert (plan.hold_min, plan.bake, plan.retain) == (2 * SECOND, 3 * SECOND, 0)


def test_a_hold_longer_than_the_configured_limit_lifts_the_limit() -> None:
    assert overlaid(Plan(hold_max=MINUTE), body(hold="1h")).hold_max == 2 * HOUR
    assert overlaid(Plan(hold_max=HOUR), body(hold="2s")).hold_max == HOUR


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"steps": ["5%", "5%", "100%"]}, "5 % is not above"),
        ({"steps": ["50%", "25%", "100%"]}, "25 % is not above"),
        ({"steps": ["5%", "50%"]}, "the last step is 50 %"),
        ({"steps": ["0%", "100%"]}, "0 % is not a step"),
        ({"steps": ["101%"]}, "above 100 %"),
        ({"steps": ["-5%", "100%"]}, "below 0 %"),
        ({"steps": ["5", "100%"]}, "'5' is not a share"),
        ({"steps": ["0.001%", "100%"]}, "finer than 0.01 %"),
        ({"hold": "2"}, "hold: '2' is not a duration"),
        ({"bake": "-2s"}, "bake: '-2s' is not a duration"),
        ({"retain": "31d"}, "longer than 30d"),
    ],
)
def test_impossible_plans_are_refused_by_name(given: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused) as refused:
        overlaid(Plan(hold_max=DAY), body(**given))
    assert says in refused.value.what
    assert refused.value.exit_code == 2
    assert refused.value.then
