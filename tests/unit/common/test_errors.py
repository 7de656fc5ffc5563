"""The exception for people."""

from __future__ import annotations

from common.contracts.status import SubCode
from common.errors import EarshotError


def test_it_has_words_a_code_and_evidence() -> None:
    """The exit status follows from the sub-code."""
    error = EarshotError(SubCode.JOIN_REFUSED, "no", ("shot.png",))
    assert (str(error), error.code, error.exit_code, error.evidence) == ("no", SubCode.JOIN_REFUSED, 4, ("shot.png",))
