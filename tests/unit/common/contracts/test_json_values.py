"""JSON values with their types checked."""

from __future__ import annotations

from enum import StrEnum

import pytest

from common.contracts.json_values import count, field, identity, items, member, moment, optional, read_object, write


def test_values_have_the_type_that_is_asked_for() -> None:
    """A whole number is a float too; true is no number."""
    value = {"i": 1, "f": 1.5, "b": True, "n": None}
    assert field(value, "i", float) == 1.0
    assert field(value, "b", bool) is True
    assert optional(value, "n", str) is None
    assert optional(value, "f", float) == 1.5
    for key, kind in (("b", int), ("b", float), ("n", str), ("f", int), ("missing", str)):
        with pytest.raises(ValueError, match=f"{key}: {kind.__name__} expected"):
            field(value, key, kind)


@pytest.mark.parametrize("number", [10**400, float("nan"), float("inf"), -(10**400)])
def test_numbers_are_finite(number: float) -> None:
    """What JSON readers of Python accept beyond is a ValueError here."""
    with pytest.raises(ValueError, match="n: float expected"):
        field({"n": number}, "n", float)


class Fruit(StrEnum):
    """Two words."""

    APPLE = "apple"
    PEAR = "pear"


def test_counts_words_times_and_lists() -> None:
    """Each kind in its own terms; the error names the key and never the value."""
    value = {"n": 3, "w": "pear", "t": "2026-01-31T09:30:00.250Z", "l": [{"a": 1}], "less": -1, "b": [1]}
    assert (count(value, "n"), member(value, "w", Fruit), moment(value, "t")) == (3, Fruit.PEAR, value["t"])
    assert items(value, "l") == [{"a": 1}]
    with pytest.raises(ValueError, match=r"^less: a count expected$"):
        count(value, "less")
    with pytest.raises(ValueError, match=r"^t: a Fruit expected$"):
        member(value, "t", Fruit)
    with pytest.raises(ValueError, match=r"^w: a time such as \S+ expected$"):
        moment(value, "w")
    with pytest.raises(ValueError, match=r"^b: a list of JSON objects expected$"):
        items(value, "b")


def test_ids_are_numbers_or_texts() -> None:
    """As configured; nothing else."""
    assert identity({"id": 7}, "id") == 7
    assert identity({"id": "seven"}, "id") == "seven"
    for wrong in (None, True, 1.5):
        with pytest.raises(ValueError, match="id: "):
            identity({"id": wrong}, "id")


@pytest.mark.parametrize("message", ["[]", "3", "nothing", "[" * 100_000, b"\xff", "1" * 5000])
def test_only_objects_are_read(message: str | bytes) -> None:
    """Also what is nested too deeply is a ValueError."""
    with pytest.raises(ValueError, match=r"^JSON was expected$|^a JSON object was expected|nested"):
        read_object(message)


def test_lone_surrogates_become_question_marks() -> None:
    """What is written is valid UTF-8, and reads back."""
    assert read_object(write({"name": "é", "n": [1, None]})) == {"name": "é", "n": [1, None]}
    assert write({"name": "a\ud800"}) == '{"name":"a?"}'
