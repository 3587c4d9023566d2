"""The judge's account: replaced whole, and garbage is said, never raised."""

import time
from pathlib import Path

import pytest

from lbctl.model.errors import StoreError
from lbctl.model.names import ReleaseId
from lbctl.store.kept import account_files

SEVEN = ReleaseId("7")


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    accounts = account_files(tmp_path / "state")
    accounts.save(SEVEN, {"odds": [0.1, 2.5e-300], "n": 3})
    accounts.save(SEVEN, {"odds": [0.2], "n": 4})
    assert accounts.load(SEVEN).document == {"odds": [0.2], "n": 4}
    assert account_files(tmp_path / "state").load(SEVEN).document == {"odds": [0.2], "n": 4}


def test_a_missing_damaged_or_foreign_file_is_none_with_the_reason(tmp_path: Path) -> None:
    accounts = account_files(tmp_path)
    assert "No such file" in accounts.load(SEVEN).reason
    accounts.save(SEVEN, {"odds": 1.5})
    good = (tmp_path / "account.7.json").read_bytes()
    for bad in (b"", good[:-1], good[:12] + b"X" + good[13:], b"\xff" * 100, b"00000000\n"):
        (tmp_path / "account.7.json").write_bytes(bad)
        assert accounts.load(SEVEN).document is None
        assert "account.7.json" in accounts.load(SEVEN).reason


def test_what_cannot_be_saved_is_an_error_and_the_one_before_stays(tmp_path: Path) -> None:
    accounts = account_files(tmp_path)
    accounts.save(SEVEN, {"odds": 1.5})
    with pytest.raises(StoreError, match="not saved"):
        accounts.save(SEVEN, {"odds": object()})
    assert accounts.load(SEVEN).document == {"odds": 1.5}
    with pytest.raises(StoreError, match="no name"):
        accounts.save(ReleaseId("../7"), {})


def test_accounts_of_ended_releases_are_removed(tmp_path: Path) -> None:
    accounts = account_files(tmp_path)
    accounts.save(SEVEN, {})
    accounts.save(ReleaseId("8"), {})
    accounts.sweep({ReleaseId("8")})
    assert [path.name for path in tmp_path.iterdir()] == ["account.8.json"]


def test_saving_is_fast_enough_for_every_tick(tmp_path: Path) -> None:
    accounts, taken = account_files(tmp_path), []
    for number in range(200):
        started = time.perf_counter()
        accounts.save(SEVEN, {"odds": [0.5] * 100, "n": number})
        taken.append(time.perf_counter() - started)
    print(f"account save: median {sorted(taken)[100] * 1e6:.0f} us, p99 {sorted(taken)[198] * 1e6:.0f} us")
    assert sorted(taken)[100] < 0.005
