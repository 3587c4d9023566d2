"""Every record and entry survives being written down; nothing unknown or damaged is read as if it were ours."""

from collections.abc import Callable
from dataclasses import replace
from typing import get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.entry import Entry
from lbctl.model.record import Adopted, Pool, Record, Release
from lbctl.model.topology import Plan
from lbctl.store.codec import (
    TEXT_MAX,
    Damaged,
    Foreign,
    checksum,
    decode_entry,
    decode_record,
    decode_release,
    encode,
    encode_entry,
)

whole = st.integers(-(2**63), 2**63 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def built(of: type, **given_fields: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Values of a dataclass with 64-bit numbers and texts that are Unicode: all that JSON can hold."""
    plain = {int: whole, str: text, str | None: text | st.none(), int | None: whole | st.none()}
    hints = {name: getattr(hint, "__supertype__", hint) for name, hint in get_type_hints(of).items()}
    return st.builds(of, **{name: plain[hint] for name, hint in hints.items() if hint in plain} | given_fields)


pools = built(Pool)
numbers = st.lists(whole, max_size=4).map(tuple)
plans = built(Plan, steps_bp=numbers, evidence=numbers)
releases = built(
    Release,
    plan=plans,
    latched=st.dictionaries(text, text, max_size=3),
    generations=st.dictionaries(text, text, min_size=1, max_size=3),
)
records = built(
    Record,
    schema=st.just(1),
    generations=st.dictionaries(text, text, max_size=3),
    services=st.dictionaries(text, built(Adopted, blue=pools, green=pools), max_size=3),
    releases=st.dictionaries(text, releases, max_size=3),
)
any_text = st.text(max_size=30)
scalars = st.one_of(any_text, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())
entries = st.builds(Entry, text=any_text, actor=any_text, data=st.dictionaries(any_text, scalars, max_size=5))


@settings(max_examples=60)
@given(records)
def test_a_record_from_before_evidence_was_planned_is_read(record: Record) -> None:
    old = msgspec.json.decode(encode(record))
    for release in old["releases"].values():
        del release["plan"]["evidence"]
    payload = msgspec.json.encode(old)
    found = decode_record(payload, checksum(payload, 1, "w"), 1, "w")
    for name, release in record.releases.items():
        assert found.releases[name] == replace(release, plan=replace(release.plan, evidence=()))


@settings(max_examples=60)
@given(records)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    payload = encode(record)
    assert decode_record(payload, checksum(payload, 1, "w"), 1, "w") == record


@settings(max_examples=60)
@given(records)
def test_a_running_release_from_before_releases_knew_generations_has_those_of_its_record(record: Record) -> None:
    raw = msgspec.json.decode(encode(record))
    for release in raw["releases"].values():
        del release["generations"]
    payload = msgspec.json.encode(raw)
    for release in decode_record(payload, checksum(payload)).releases.values():
        assert release.generations == ({} if release.phase.ended else record.generations)


@settings(max_examples=60)
@given(releases)
def test_a_release_is_read_as_it_was_written(release: Release) -> None:
    payload = encode(release)
    assert decode_release(payload, checksum(payload, 7), 7) == release


@settings(max_examples=100)
@given(entries)
def test_any_entry_can_be_written_whatever_its_texts_hold(entry: Entry) -> None:
    payload = encode_entry(entry)
    found = decode_entry(payload, checksum(payload, "w"), "w")
    assert (found.kind, found.at, found.severity) == (entry.kind, entry.at, entry.severity)
    if entry.text.isascii():
        assert found.text == entry.text


@settings(max_examples=60)
@given(records, st.data())
def test_any_flipped_bit_is_damage(record: Record, data: st.DataObject) -> None:
    payload = bytearray(encode(record))
    crc = checksum(bytes(payload), 1)
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Damaged):
        decode_record(bytes(payload), crc, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw | {"schema": 2}, "newer lbctl"),
        (lambda raw: raw | {"pins": {}}, "unknown field `pins`"),
        (lambda raw: raw | {"rev": "many"}, "another version"),
        (lambda raw: raw | {"releases": {"s": 5}}, "another version"),
    ],
)
def test_another_versions_record_is_foreign(change: Callable[[dict[str, object]], object], said: str) -> None:
    payload = msgspec.json.encode(change(msgspec.json.decode(encode(Record()))))
    with pytest.raises(Foreign, match=said):
        decode_record(payload, checksum(payload), *())


@settings(max_examples=5)
@given(entries)
def test_a_flood_in_an_entry_is_cut(entry: Entry) -> None:
    flood = replace(entry, text="x" * 10**6, data={str(n): "y" * 10**4 for n in range(200)})
    found = decode_entry(encode_entry(flood), checksum(encode_entry(flood)))
    assert len(found.text) == TEXT_MAX
    assert len(found.data) == 64
