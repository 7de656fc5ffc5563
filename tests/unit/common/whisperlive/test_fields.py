"""Fields of messages: a value, or a ProtocolError that says what was expected."""

from __future__ import annotations

import pytest

from common.whisperlive.fields import (
    ProtocolError,
    flag,
    index,
    json_object,
    mapping,
    number,
    seconds,
    sequence,
    shown,
    text,
    wrong_setting,
)


def test_readers_give_a_value_or_say_what_was_expected() -> None:
    """Each reader accepts its kind of value only; long numbers are cut in the message."""
    assert (text("a"), index(0), number("1.5"), seconds(2), sequence([1]), mapping({})) == ("a", 0, 1.5, 2.0, [1], {})
    assert json_object('{"a": 1}', "message") == {"a": 1}
    for read, value in (
        (text, 1), (index, -1), (index, True), (index, 1 << 54), (number, "nan"), (number, True), (number, "x"),
        (number, 10**400), (seconds, -0.1), (sequence, {}), (mapping, []),
    ):  # fmt: skip
        with pytest.raises(ProtocolError, match="expected"):
            read(value)
    with pytest.raises(ProtocolError, match=r"\.\.\.$"):
        index(-(10**100))


@pytest.mark.parametrize(
    ("message", "problem"), [("{", "is not JSON"), ("[]", "is not a JSON object"), ("[" * 100_000, "is not JSON")]
)
def test_a_message_is_a_json_object(message: str, problem: str) -> None:
    """However deep what is sent instead is nested."""
    with pytest.raises(ProtocolError, match=f"^The greeting {problem}.$"):
        json_object(message, "greeting")


@pytest.mark.parametrize(
    ("value", "kind"), [("canary", "a text"), (["canary"], "a list"), ({"canary": 1}, "an object"), (1, "1")]
)
def test_what_is_wrong_is_named_by_its_kind(value: object, kind: str) -> None:
    """In a segment it may be what somebody said: no text is quoted but that of a setting."""
    with pytest.raises(ProtocolError, match=f"^expected true or false, got {kind}$"):
        flag(value)
    with pytest.raises(ProtocolError) as error:
        wrong_setting(value, "true or false")
    assert str(error.value) == f"expected true or false, got {value!a}"
    assert flag(True)


def test_what_is_shown_is_short_and_ascii() -> None:
    """60 characters at most."""
    assert shown("é") == "'\\xe9'"
    assert shown("a" * 58) == repr("a" * 58)
    assert shown("a" * 59) == "'" + "a" * 56 + "..."
