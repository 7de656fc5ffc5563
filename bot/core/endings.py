"""Ends as they are after what failed on the way to them: a late failure, entries that could not be stored."""

from __future__ import annotations

from bot.core.effects import Finish
from common.contracts.status import SubCode

_MISSING_IS_KNOWN = frozenset(
    {SubCode.DUPLICATE_BOT, SubCode.REDIS_UNREACHABLE, SubCode.INTERNAL_ERROR, SubCode.NOT_STORED}
)
"""Ends that say already that not everything went well here."""


def with_late(finish: Finish, late: Finish | None) -> Finish:
    """The end after what failed while it was under way; another bot's lock goes before everything."""
    if late is None or (finish.code in _MISSING_IS_KNOWN and late.code is not SubCode.DUPLICATE_BOT):
        return finish
    return late


def with_missing(finish: Finish, entries: int) -> Finish:
    """The end when so many entries are not stored."""
    if not entries or finish.code in _MISSING_IS_KNOWN:
        return finish
    why = f"{entries} entries could not be stored; the meeting had ended with {finish.code}"
    return Finish(SubCode.NOT_STORED, f"{why}: {finish.detail}" if finish.detail else why)
