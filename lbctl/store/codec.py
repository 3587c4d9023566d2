"""How records, releases and entries become bytes and back: JSON beside a checksum. Nothing is read by guessing."""

import zlib
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from lbctl.model.entry import Entry, Scalar
from lbctl.model.errors import StoreError
from lbctl.model.record import SCHEMA, Record, Release
from lbctl.notjson import NOT_JSON

T = TypeVar("T")

TEXT_MAX = 4_000
"""Characters of one text in an entry. Longer ones are cut, so that no peer's answer can fill the journal."""
DATA_MAX = 64
"""Keys of an entry's data."""
PAYLOAD_MAX = 1 << 20
"""Bytes of one record."""


GONE = frozenset({"proved"})
"""Fields that an older lbctl wrote and never set: they mean nothing."""


class Damaged(StoreError):
    """The bytes are not those that were written."""


class Foreign(StoreError):
    """The bytes are whole, but of another version of lbctl: newer, or with fields this one does not know."""


class _Head(msgspec.Struct):
    schema: int = 0


_HEAD = msgspec.json.Decoder(_Head)
_RECORD = msgspec.json.Decoder(Record)
_RELEASE = msgspec.json.Decoder(Release)
_ENTRY = msgspec.json.Decoder(Entry)


def checksum(payload: bytes, *keys: object) -> int:
    """Return the checksum of a row: its payload and the columns `keys` beside it."""
    return zlib.crc32(payload, zlib.crc32("|".join(map(str, keys)).encode("utf-8", "replace")))


def encode(value: Record | Release) -> bytes:
    """Return `value` as JSON.

    Raises:
        StoreError: it cannot be written down (a text that is not Unicode, a number beyond 64 bits, over 1 MB).
    """
    try:
        payload = msgspec.json.encode(value)
    except (ValueError, TypeError, OverflowError, msgspec.MsgspecError) as error:
        raise StoreError(f"this {type(value).__name__.lower()} cannot be written down: {error}") from error
    if len(payload) > PAYLOAD_MAX:
        raise StoreError(f"this {type(value).__name__.lower()} has {len(payload)} bytes; {PAYLOAD_MAX} are allowed")
    return payload


def encode_entry(entry: Entry) -> bytes:
    """Return `entry` as JSON, its texts cut to `TEXT_MAX` and made valid Unicode. Never fails for what it was given:
    an entry must not be what keeps a decision from the journal."""
    data = {_text(key): _scalar(value) for key, value in list(entry.data.items())[:DATA_MAX]}
    return msgspec.json.encode(replace(entry, text=_text(entry.text), actor=_text(entry.actor), data=data))


def decode_record(payload: bytes, crc: int, *keys: object) -> Record:
    """Return the record that was written.

    Raises:
        Damaged: the checksum does not fit: use the record before.
        Foreign: a newer or other lbctl wrote it: do not write over it.
    """
    _verify(payload, crc, keys)
    try:
        schema = _HEAD.decode(payload).schema
        if schema > SCHEMA:
            raise Foreign(f"written by a newer lbctl (record schema {schema}, this one knows {SCHEMA})")
        record = _RECORD.decode(payload)
        unknown = _unknown(msgspec.json.decode(payload), msgspec.json.decode(msgspec.json.encode(record)), "")
    except (*NOT_JSON, OverflowError) as error:
        raise Foreign(f"written by another version of lbctl ({error})") from error
    if unknown:
        raise Foreign(f"written by another version of lbctl (unknown field `{unknown}`)")
    return _upgraded(record)


def _upgraded(record: Record) -> Record:
    """Return what an older lbctl meant: its releases had looked at the generations of the record, for want of own."""
    releases = {
        name: one if one.generations or one.phase.ended else replace(one, generations=record.generations)
        for name, one in record.releases.items()
    }
    return replace(record, releases=releases)


def decode_release(payload: bytes, crc: int, *keys: object) -> Release:
    """Return the release that was written. Raises `Damaged` or `Foreign` as `decode_record` does."""
    _verify(payload, crc, keys)
    return _told_as_foreign(_RELEASE, payload)


def decode_entry(payload: bytes, crc: int, *keys: object) -> Entry:
    """Return the entry that was written. Raises `Damaged` or `Foreign` as `decode_record` does."""
    _verify(payload, crc, keys)
    return _told_as_foreign(_ENTRY, payload)


def _told_as_foreign(decoder: "msgspec.json.Decoder[T]", payload: bytes) -> T:
    try:
        return decoder.decode(payload)
    except NOT_JSON as error:
        raise Foreign(f"written by another version of lbctl ({error})") from error


def _verify(payload: Any, crc: Any, keys: tuple[object, ...]) -> None:
    # A flipped bit in SQLite's own row header changes a column's type, so even that is not believed.
    if not isinstance(payload, bytes) or checksum(payload, *keys) != crc:
        raise Damaged("its checksum does not fit")


def _unknown(written: Any, known: Any, place: str) -> str | None:
    """Return the first field in `written` that decoding dropped, as `releases.storefront.pin`."""
    if isinstance(written, dict) and isinstance(known, dict):
        for key, value in written.items():
            if key in GONE and key not in known:
                continue
            where = f"{place}.{key}" if place else key
            found = where if key not in known else _unknown(value, known[key], where)
            if found:
                return found
    return None


def _text(text: str) -> str:
    return str(text)[:TEXT_MAX].encode("utf-8", "replace").decode()


def _scalar(value: Scalar) -> Scalar:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 63:
        return str(value)[:TEXT_MAX]
    return value
