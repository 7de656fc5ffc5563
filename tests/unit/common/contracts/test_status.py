"""The table of sub-codes."""

from __future__ import annotations

from common.contracts.status import MEANINGS, SubCode
from common.errors import EarshotError


def test_every_sub_code_has_a_meaning() -> None:
    """No code without exit status, explanation and remedy."""
    assert set(MEANINGS) == set(SubCode)
    assert {meaning.exit_code for meaning in MEANINGS.values()} == {0, 1, 2, 3, 4, 5, 6, 130, 143}
    assert all(meaning.means and meaning.remedy for meaning in MEANINGS.values())


def test_an_error_knows_its_exit_code() -> None:
    """The exception carries its public reason."""
    error = EarshotError(SubCode.REMOVED, "The host removed the bot.")
    assert (error.exit_code, str(error)) == (5, "The host removed the bot.")
