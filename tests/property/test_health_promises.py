"""Promises that hold for every sequence of probes and every hostile answer."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from lbctl.core.health import HealthSettings, HealthState, observe, panic, refresh
from lbctl.model.units import Instant, Span
from lbctl.probe.answer import NotHttp, length_of, status_of
from lbctl.probe.frames import FrameError, Lines, decode_set
from lbctl.probe.schedule import next_due
from lbctl.probe.target import Target
from lbctl.probe.words import clean

SETTINGS = HealthSettings(interval=Span(1_000), timeout=Span(500))
probes = st.lists(st.tuples(st.sampled_from([True, False, None]), st.integers(0, 6_000)), max_size=60)


def run(steps: list[tuple[bool | None, int]]) -> list[tuple[bool | None, HealthState, HealthState]]:
    state, now, trail = HealthState.unknown(Instant(0)), 0, []
    for ok, gap in steps:
        now += gap
        before = refresh(state, Instant(now), SETTINGS)
        state = observe(before, ok, Instant(now), SETTINGS)
        trail.append((ok, before, state))
    return trail


@given(probes)
def test_a_probe_that_cannot_tell_never_makes_a_server_up_or_down(steps: list[tuple[bool | None, int]]) -> None:
    for ok, before, state in run(steps):
        if ok is None:
            assert state.up in {before.up, None}


@given(probes)
def test_only_bad_probes_in_a_row_bring_an_up_server_down(steps: list[tuple[bool | None, int]]) -> None:
    trail = run(steps)
    told = [ok for ok, _, _ in trail]
    for at, (_, before, state) in enumerate(trail):
        if before.up and state.up is False:
            assert [ok for ok in told[: at + 1] if ok is not None][-SETTINGS.fall :] == [False] * SETTINGS.fall


@given(probes)
def test_state_is_bounded_and_since_never_runs_back(steps: list[tuple[bool | None, int]]) -> None:
    for _, before, state in run(steps):
        assert state.since >= before.since
        assert len(state.flips) <= SETTINGS.flips_max + 1
        assert (state.since == before.since) or (state.up is not before.up)


@given(probes)
def test_one_healthy_pool_proves_the_checker(steps: list[tuple[bool | None, int]]) -> None:
    ill = [state for _, _, state in run(steps)]
    well = HealthState(up=True, seen_up=True, since=Instant(0))
    assert panic([well] * 3, ill, Instant(10**9), SETTINGS) is None


@given(st.binary(max_size=80), st.integers(0, 80))
def test_an_answer_is_judged_alike_however_it_is_cut(answer: bytes, cut: int) -> None:
    def verdict(start: bytes) -> int | str | None:
        try:
            return status_of(start)
        except NotHttp:
            return "not http"

    whole, part = verdict(answer), verdict(answer[:cut])
    assert part is None or part == whole


@given(st.binary(max_size=200))
def test_no_answer_breaks_the_parser(answer: bytes) -> None:
    with suppress(NotHttp):
        status_of(answer)
    length = length_of(b"HTTP/1.1 200 OK\r\n" + answer)
    assert length is None or length >= 0


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda c: (
            st.lists(c)
            | st.dictionaries(
                st.sampled_from(["key", "kind", "ip", "port", "status", "command", "path", "interval_ms"]) | st.text(),
                c,
            )
        ),
    )
)
def test_a_hostile_target_is_refused_by_value_error_only(raw: object) -> None:
    with suppress(ValueError):
        Target.from_wire(raw)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_a_hostile_stream_ends_in_frame_errors_only(chunks: list[bytes]) -> None:
    lines = Lines(64)
    with suppress(FrameError):
        for chunk in chunks:
            for line in lines.feed(chunk):
                decode_set(line)


@given(st.text(max_size=400))
def test_no_foreign_text_reaches_a_terminal_unclean(text: str) -> None:
    shown = clean(text)
    assert len(shown) <= 120
    assert shown.isprintable()


@given(st.integers(0, 10**9), st.integers(50, 3_600_000), st.integers(0, 10**7))
def test_the_next_slot_is_in_step_and_the_nearest_one_to_come(due: int, interval_ms: int, waited: int) -> None:
    period = interval_ms // 10
    following = next_due(due, interval_ms, due + waited)
    assert due + waited < following <= due + waited + period
    assert (following - due) % period == 0
