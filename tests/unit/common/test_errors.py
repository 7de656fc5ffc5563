"""The exception for people."""

from __future__ import annotations

import pytest

from common.contracts.status import SubCode
from common.errors import EarshotError, raise_together


def test_it_has_words_a_code_and_evidence() -> None:
    """The exit status follows from the sub-code."""
    error = EarshotError(SubCode.JOIN_REFUSED, "no", ("shot.png",))
    assert (str(error), error.code, error.exit_code, error.evidence) == ("no", SubCode.JOIN_REFUSED, 4, ("shot.png",))


def test_what_fails_together_is_said_together() -> None:
    """The first one's code, the words of all; a bug comes through as it is, and no failure is none."""
    redis = EarshotError(SubCode.REDIS_UNREACHABLE, "no Redis")
    room = EarshotError(SubCode.ROOM_UNREACHABLE, "no room")
    with pytest.raises(EarshotError, match="no Redis · no room") as caught:
        raise_together([None, redis, 7, room])
    assert caught.value.code is SubCode.REDIS_UNREACHABLE
    with pytest.raises(ZeroDivisionError):
        raise_together([redis, ZeroDivisionError()])
    raise_together([None])
