"""JSON values with their types checked."""

from __future__ import annotations

import pytest

from common.contracts.json_values import field, identity, optional, read_object, write


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


def test_ids_are_numbers_or_texts() -> None:
    """As configured; nothing else."""
    assert identity({"id": 7}, "id") == 7
    assert identity({"id": "seven"}, "id") == "seven"
    for wrong in (None, True, 1.5):
        with pytest.raises(ValueError, match="id: "):
            identity({"id": wrong}, "id")


@pytest.mark.parametrize("message", ["[]", "3", "nothing", "[" * 100_000])
def test_only_objects_are_read(message: str) -> None:
    """Also what is nested too deeply is a ValueError."""
    with pytest.raises(ValueError, match=r"expected|Expecting|nested"):
        read_object(message)


def test_lone_surrogates_become_question_marks() -> None:
    """What is written is valid UTF-8."""
    assert write({"name": "a\ud800"}) == '{"name":"a?"}'
