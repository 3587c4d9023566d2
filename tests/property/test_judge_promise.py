"""The promise behind every rollback: no bet gains on average while the candidate is within the margin."""

import json
from contextlib import suppress
from math import comb, exp

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.core.judge import Account, Counts, Sample, Settings, Window, Word, bets, capital, judge, new_step

few = st.integers(1, 7)
ratios = st.floats(0.0, 1.0)
margins = st.tuples(st.floats(0.0, 0.05), st.floats(0.5, 2.0))
guesses = st.floats(1e-6, 1.0 - 1e-6)


def chance(n: int, k: int, p: float) -> float:
    return float(comb(n, k)) * p**k * (1.0 - p) ** (n - k)


def mean_payoffs(g: int, b: int, p_candidate: float, p_active: float, border: bets.Border) -> list[float]:
    """Return each expert's exact mean pay-off over all outcomes of one block."""
    means = [0.0] * bets.EXPERTS
    for k in range(g + 1):
        for m in range(b + 1):
            weight = chance(g, k, p_candidate) * chance(b, m, p_active)
            for index, gain in enumerate(bets.compared(Counts(g, k), Counts(b, m), border)):
                means[index] += weight * exp(min(gain, 600.0)) if weight else 0.0
    return means


@settings(max_examples=150)
@given(few, few, ratios, st.floats(0.0, 1.0), margins, guesses)
def test_no_bet_gains_on_average_anywhere_within_the_margin(
    g: int, b: int, p_active: float, part: float, margin: tuple[float, float], guess: float
) -> None:
    border = bets.Border(*margin, guess)
    p_candidate = min(part * border.at(p_active), 1.0)
    assert max(mean_payoffs(g, b, p_candidate, p_active, border)) <= 1.0 + 1e-9


@settings(max_examples=60)
@given(few, few, ratios, margins, guesses)
def test_no_bet_gains_on_average_exactly_on_the_border(
    g: int, b: int, p_active: float, margin: tuple[float, float], guess: float
) -> None:
    border = bets.Border(*margin, guess)
    assert max(mean_payoffs(g, b, min(border.at(p_active), 1.0), p_active, border)) <= 1.0 + 1e-9


@given(st.integers(1, 12), st.floats(1e-4, 0.95), st.floats(0.0, 1.0))
def test_a_colour_within_its_own_limit_gains_nothing_on_average(n: int, limit: float, part: float) -> None:
    p = part * limit
    means = [0.0] * bets.EXPERTS
    for k in range(n + 1):
        for index, gain in enumerate(bets.alone(Counts(n, k), limit)):
            means[index] += chance(n, k, p) * exp(gain)
    assert max(means) <= 1.0 + 1e-9


@settings(max_examples=60)
@given(few, few, ratios, st.floats(1.0, 10.0), st.floats(0.01, 1e5), st.floats(0.0, 1e6))
def test_the_whole_capital_gains_nothing_on_average_with_stakes_dispersion_and_cut(
    g: int, b: int, p_active: float, phi: float, dt_s: float, staked_s: float
) -> None:
    border = bets.Border(0.001, 1.25, 0.01)
    p_candidate = min(border.at(p_active), 1.0)
    start = capital.Capital(staked_s=staked_s)
    mean = 0.0
    for k in range(g + 1):
        for m in range(b + 1):
            block = Window(Counts(g, k), Counts(b, m), dt_s)
            gains = bets.compared(block.candidate, block.active, border)
            after = capital.settled(start, gains, block, Settings(), phi)
            mean += chance(g, k, p_candidate) * chance(b, m, p_active) * exp(capital.log_odds(after))
    assert mean <= 1.0 + 1e-9


@given(st.integers(1, 300), st.integers(1, 3000), st.data(), guesses)
def test_one_more_bad_request_of_the_candidate_never_speaks_for_it(
    g: int, b: int, data: st.DataObject, guess: float
) -> None:
    k, m = data.draw(st.integers(0, g - 1)), data.draw(st.integers(0, b))
    border = bets.Border(0.001, 1.25, guess)
    less = bets.compared(Counts(g, k), Counts(b, m), border)
    more = bets.compared(Counts(g, k + 1), Counts(b, m), border)
    assert all(after >= before for before, after in zip(less, more, strict=True))


@given(st.integers(1, 300), st.integers(1, 3000), st.data(), guesses)
def test_one_more_bad_request_of_active_never_speaks_against_the_candidate(
    g: int, b: int, data: st.DataObject, guess: float
) -> None:
    k, m = data.draw(st.integers(0, g)), data.draw(st.integers(0, b - 1))
    border = bets.Border(0.001, 1.25, guess)
    less = bets.compared(Counts(g, k), Counts(b, m), border)
    more = bets.compared(Counts(g, k), Counts(b, m + 1), border)
    assert all(after <= before for before, after in zip(less, more, strict=True))


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.data(), margins, guesses)
def test_a_block_that_was_seen_within_the_margin_is_never_evidence_against_the_candidate(
    g: int, b: int, data: st.DataObject, margin: tuple[float, float], guess: float
) -> None:
    border = bets.Border(*margin, guess)
    m = data.draw(st.integers(0, b))
    k = data.draw(st.integers(0, min(int(g * border.at(m / b)), g)))
    gains = bets.compared(Counts(g, k), Counts(b, m), border)
    assert max(gains) <= 1e-9 * (g + b)


counts = st.one_of(st.none(), st.builds(Counts, st.integers(0, 10**6), st.integers(0, 10**6)))
samples = st.builds(
    Sample,
    dt_s=st.floats(0.0, 100.0),
    share_bp=st.integers(0, 10_000),
    candidate=counts,
    active=counts,
    candidate_down=st.booleans(),
    active_down=st.booleans(),
    active_probed_healthy=st.sampled_from([None, True, False]),
    panic=st.booleans(),
)
steps = st.integers(0, 10_000)


def after_all(events: list[Sample | int], told: Settings) -> Account:
    account = Account.fresh(told)
    for event in events:
        if isinstance(event, int):
            account = new_step(account, told, share_bp=event)
        else:
            account, verdict = judge(account, event, told)
            assert verdict.odds >= 0.0
            assert verdict.reason
            assert verdict.word is not Word.ADVANCE or verdict.code == "ok"
    return account


@settings(max_examples=80)
@given(st.lists(st.one_of(samples, steps), max_size=12))
def test_an_account_read_back_from_json_is_the_same_account(events: list[Sample | int]) -> None:
    account = after_all(events, Settings())
    text = json.dumps(account.to_json(), allow_nan=False)
    assert Account.from_json(json.loads(text)) == account


@settings(max_examples=80)
@given(st.lists(samples, max_size=8))
def test_both_colours_doing_exactly_the_same_is_never_rolled_back_for_errors(events: list[Sample]) -> None:
    told = Settings()
    account = new_step(Account.fresh(told), told, share_bp=5_000)
    for event in events:
        alike = Sample(event.dt_s, 5_000, event.candidate, event.candidate)
        account, verdict = judge(account, alike, told)
        assert verdict.code != "errors"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def paths(document: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner: list[tuple[str | int, ...]] = []
    if isinstance(document, dict):
        inner = [found for key, value in document.items() for found in paths(value, (*path, key))]
    if isinstance(document, list):
        inner = [found for index, value in enumerate(document) for found in paths(value, (*path, index))]
    return [path, *inner] if path else inner


@settings(max_examples=100)
@given(st.data(), json_values)
def test_a_damaged_account_is_refused_by_value_error_or_still_usable(data: st.DataObject, junk: object) -> None:
    document: object = Account.fresh(Settings()).to_json()
    path = data.draw(st.sampled_from(paths(document)))
    place: object = document
    for key in path[:-1]:
        place = place[key]  # type: ignore[index]
    place[path[-1]] = junk  # type: ignore[index]
    with suppress(ValueError):
        account = Account.from_json(document)
        judge(account, Sample(0.1, 500, Counts(10, 1), Counts(90, 1)), Settings())
