"""The page of promises says what the tables and the last figures say."""

from pathlib import Path

from tests.bench.page import page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "promises.md"


def test_the_page_of_promises_is_drawn_from_its_tables() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "make docs"
