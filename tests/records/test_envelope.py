"""The envelope of records: whatever happened to the bytes, it is noticed."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.records.envelope import (
    VERSION,
    CorruptRecord,
    ForeignRecord,
    Record,
    canonical,
    decode,
    digest,
    encode,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
objects = st.dictionaries(st.text(), values, max_size=3)
records = st.builds(Record, st.text(), st.text(), objects, objects, st.text())

RESULT = Record(
    "result",
    "run0",
    {"member": 3, "score": -0.1234567890123456, "text": "ü\n", "big": 2**70},
    {"worker": "w1"},
    "nonce",
)


@given(record=records)
@settings(deadline=None, max_examples=50)
def test_a_record_comes_back_as_it_went(record: Record) -> None:
    """Any JSON survives, floats to the last bit, and equal records have equal bytes."""
    data = encode(record)

    assert decode(data, "a.json", kind=record.kind, run=record.run) == record
    assert encode(decode(data, "a.json", kind=record.kind)) == data


def test_a_record_under_another_name_is_damaged() -> None:
    """A result of the last generation restored into this one is not taken for this one's, while
    records of versions that did not state their names are read under any."""
    data = encode(RESULT, "generations/0001/results/m03.json")

    assert decode(data, "generations/0001/results/m03.json", kind="result") == RESULT
    with pytest.raises(CorruptRecord, match=r"0002/results/m03.json: holds another record, gen"):
        decode(data, "generations/0002/results/m03.json", kind="result")
    assert decode(encode(RESULT), "anywhere.json", kind="result") == RESULT


@given(record=records)
@settings(deadline=None, max_examples=50)
def test_the_digest_is_of_kind_and_core_alone(record: Record) -> None:
    """Who did it, when and in which run take no part in the chain."""
    other = Record(record.kind, "another run", record.core, {"worker": "somebody"}, "else")

    assert other.digest == record.digest
    assert Record(record.kind + "x", record.run, record.core).digest != record.digest
    assert Record(record.kind, "", {**record.core, "more": 1, "": 2}).digest != record.digest


def test_every_changed_byte_is_noticed() -> None:
    """All 255 other values of every byte: not a record, or (white space) still the very same."""
    data = encode(RESULT)
    for place in range(len(data)):
        for value in range(256):
            if value == data[place]:
                continue
            altered = data[:place] + bytes([value]) + data[place + 1 :]
            try:
                found = decode(altered, "m03.json", kind="result", run="run0")
            except CorruptRecord as error:
                assert str(error).startswith("m03.json: not an intact record")
            else:
                assert found == RESULT, f"byte {place} changed to {value} was not noticed"


def test_every_cut_is_noticed() -> None:
    """Torn at any byte but the last line break, and an empty file."""
    data = encode(RESULT)
    for length in range(len(data) - 1):
        with pytest.raises(CorruptRecord):
            decode(data[:length], "m03.json", kind="result")


@given(data=st.binary(max_size=200))
@settings(deadline=None, max_examples=50)
def test_garbage_is_no_record(data: bytes) -> None:
    """Bytes of any kind end in one sentence, never in another exception."""
    with pytest.raises(CorruptRecord, match="not an intact record"):
        decode(data, "m03.json", kind="result")


@pytest.mark.parametrize(
    "text", ["[]", "3", "null", '"sha256"', "{}", '{"sha256": 1}', "[" * 100_000, '{"a": NaN}']
)
def test_other_json_is_no_record(text: str) -> None:
    """Valid JSON of another shape, and JSON bombs."""
    with pytest.raises(CorruptRecord):
        decode(text.encode(), "m03.json", kind="result")


def _sealed(**changes: Any) -> bytes:
    body = json.loads(encode(RESULT))
    del body["sha256"]
    body.update(changes)
    return canonical({**body, "sha256": digest(body)})


def test_a_newer_version_is_refused_with_both_numbers() -> None:
    """An intact record of a future format is never guessed at."""
    newer = _sealed(v=VERSION + 1)

    with pytest.raises(ForeignRecord) as raised:
        decode(newer, "m03.json", kind="result")
    assert str(raised.value) == (
        "m03.json: written in format version 2; this pbtnas reads version 1"
    )


def test_another_run_or_kind_is_refused() -> None:
    """A record that was copied from elsewhere is named, not used."""
    data = encode(RESULT)

    with pytest.raises(ForeignRecord, match="m03.json: belongs to run run0, not to run run1"):
        decode(data, "m03.json", kind="result", run="run1")
    with pytest.raises(ForeignRecord, match="of kind 'result', expected 'claim'"):
        decode(data, "m03.json", kind="claim", run="run0")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_cannot_be_recorded(value: float) -> None:
    """NaN is no JSON: it has to be decided before what it means."""
    with pytest.raises(ValueError):
        encode(Record("result", "run0", {"score": value}))
