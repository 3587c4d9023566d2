"""Who called whom, kept in files over a restart: at once where it holds a release, and nothing damaged is believed."""

from pathlib import Path

from lbctl.core.matrix import Miscall
from lbctl.daemon.keeper import Keeper, tallies_before
from lbctl.model.names import Colour
from lbctl.model.route import Caller
from lbctl.store.kept import account_files, learned_files, matrix_files
from tests.shop import TOPOLOGY, A, B, Shop

NEW = Caller(B, Colour.GREEN)


def keeper(path: Path) -> Keeper:
    return Keeper(account_files(path / "accounts"), learned_files(path / "learned"), matrix_files(path / "matrix"))


def test_a_call_against_its_pin_is_kept_at_once_and_counts_every_ten_seconds(tmp_path: Path) -> None:
    shop, keeping = Shop(), keeper(tmp_path)
    files = matrix_files(tmp_path / "matrix")
    keeping.keep(shop.state, shop.now)
    first = tallies_before(TOPOLOGY, files, shop.now)[A]
    shop.switch(B, A, version=2)
    keeping.keep(shop.state, shop.now)
    shop.run(10)
    keeping.keep(shop.state, shop.now)
    later = tallies_before(TOPOLOGY, files, shop.now)[A]
    assert (first.release, later.release) == (None, "1")
    shop.misled = {NEW: Colour.BLUE}
    while not shop.state.matrix[A].wrong:
        shop.tick()
    keeping.keep(shop.state, shop.now)
    found = tallies_before(TOPOLOGY, files, shop.now)[A]
    assert found.wrong == shop.state.matrix[A].wrong
    assert {one.caller for one in found.wrong} == {NEW}
    assert all(isinstance(one, Miscall) for one in found.wrong)


def test_what_is_damaged_or_of_a_service_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    shop = Shop()
    keeper(tmp_path).keep(shop.state, shop.now)
    files, one = matrix_files(tmp_path / "matrix"), tmp_path / "matrix" / f"matrix.{A}.json"
    gone = one.with_name("matrix.gone.json")
    gone.write_bytes(one.read_bytes())
    one.write_text(one.read_text().replace('"version"', '"Version"'))
    assert tallies_before(TOPOLOGY, files, shop.now) == {}
    assert not gone.exists()
    files.save(A, {"version": 1})
    assert tallies_before(TOPOLOGY, files, shop.now) == {}
