"""Where a rule of the core begins exactly, and what is refused by its last condition: edges that slips would move."""

import pytest

from lbctl.core.health import HealthSettings, HealthState, observe
from lbctl.core.judge import Account, Settings
from lbctl.core.judge.codec import read, written
from lbctl.core.planner.wording import ratio_words, span_words
from lbctl.model.units import Instant


@pytest.mark.parametrize(
    ("ratio", "words"), [(0.996, "100 %"), (0.412, "41 %"), (0.0994, "9.9 %"), (0.0995, "10 %"), (0.0034, "0.34 %")]
)
def test_a_ratio_has_two_places_that_count_and_no_exponent(ratio: float, words: str) -> None:
    assert ratio_words(ratio) == words


def test_two_days_are_said_in_hours_and_more_than_that_in_days() -> None:
    assert "days" not in span_words(2 * 86_400)
    assert span_words(3 * 86_400) == "3 days"


@pytest.mark.parametrize("version", [2, "1", 1.0, True, None])
def test_an_account_of_another_version_is_refused(version: object) -> None:
    plain = {**written(Account.fresh(Settings())), "version": version}
    with pytest.raises(ValueError, match=r"account\.version"):
        read(Account, plain, "account")


def test_a_change_counts_as_flapping_to_the_end_of_its_window() -> None:
    settings = HealthSettings(rise=1, fall=1, flips_max=2)

    def up_after(window: int) -> bool | None:
        state = HealthState.unknown(Instant(0))
        for at, ok in ((0, True), (1, False), (10, True), (20, False), (10 + window, True)):
            state = observe(state, ok, Instant(at), settings)
        return state.up

    assert up_after(settings.flap_window) is False
    assert up_after(settings.flap_window + 1) is True
