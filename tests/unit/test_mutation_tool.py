"""The tool that damages the core: what it changes, what it leaves alone, and how a damage comes into the process."""

from pathlib import Path

import pytest

from tests.bench import rows
from tests.mutation.damage import mutants
from tests.mutation.differing import Watching
from tests.mutation.patching import function_of, patch
from tests.mutation.score import bounds

SOURCE = '''
LIMIT = 3

class Gate:
    def opens(self, count):
        """More than 2."""
        assert count < 9, "never"
        if count > 2 and count != 5:
            return f"{count + 1} of them"
        return ""
'''


def test_every_place_within_a_function_is_damaged_and_no_text_and_no_assertion() -> None:
    found = {mutant.name for mutant in mutants("gates", SOURCE)}
    assert found == {
        f"gates.Gate.opens: {change}"
        for change in (
            "count > 2 and count != 5 -> count > 2 or count != 5",
            "count > 2 and count != 5 -> count != 5",
            "count > 2 and count != 5 -> count > 2",
            "count > 2 -> count >= 2",
            "count > 2 -> count <= 2",
            "2 -> 3",
            "count != 5 -> count == 5",
            "5 -> 6",
        )
    }


def test_a_damaged_tree_differs_in_one_place_and_the_sound_one_stays() -> None:
    one = next(mutant for mutant in mutants("gates", SOURCE) if mutant.old == "2")
    space: dict[str, type] = {}
    exec(compile(one.tree(), "gates", "exec"), space)
    assert [space["Gate"]().opens(count) for count in (2, 3, 4)] == ["", "", "5 of them"]
    assert [mutant.name for mutant in mutants("gates", SOURCE)].count(one.name) == 1


def test_whoever_imported_a_function_meets_its_damaged_code(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.bench.rows import spoken

    monkeypatch.setattr(spoken, "__code__", spoken.__code__)
    wanted = ("number == int(number)", "number != int(number)")
    source = Path(rows.__file__).read_text(encoding="utf-8")
    patch(next(one for one in mutants(rows.__name__, source) if (one.old, one.new) == wanted))
    assert spoken(0.5, "") == "0"


def test_methods_properties_and_wrapped_functions_are_found() -> None:
    assert function_of(rows.__name__, "Row.is_met").__name__ == "is_met"
    assert function_of(rows.__name__, "Row.line").__name__ == "line"
    with pytest.raises(LookupError):
        function_of(rows.__name__, "SIGNS")


def test_a_sample_says_how_sure_it_is() -> None:
    low, high = bounds(90, 100)
    assert (round(low, 3), round(high, 3)) == (0.826, 0.945)
    assert bounds(0, 0) == (0.0, 1.0)


def test_a_test_can_only_notice_a_mutant_that_differed_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows.spoken, "__code__", rows.spoken.__code__)
    source = Path(rows.__file__).read_text(encoding="utf-8")
    found = [one for one in mutants(rows.__name__, source) if one.function == "spoken"]
    watching = Watching(found)
    watching.begin()

    def differing(number: float) -> set[str]:
        watching.taken()
        rows.spoken(number, "")
        return {f"{found[one].old} -> {found[one].new}" for one in watching.taken()}

    short, long = differing(0.5), differing(1_000.5)
    watching.end()
    assert "abs(number) >= 1000 -> abs(number) < 1000" in short & long
    assert "number == int(number) or abs(number) >= 1000 -> number == int(number)" in long - short
    assert "1000 -> 1001" in long - short
    assert "abs(number) >= 1000 -> abs(number) > 1000" not in short | long
    assert not differing(1_000.5)
