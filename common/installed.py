"""Packages that a part of this project needs and an installation may lack: said in words, with what to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from common.contracts.status import SubCode
from common.errors import EarshotError

OURS = ("bot", "common", "rehearsal", "transcriber")


@contextmanager
def needed(what: str, extras: str) -> Iterator[None]:
    """Within the block, which imports, a package that is missing is an error for people; one of ours is a bug.

    Args:
        what: Needs the packages, such as `earshot room`.
        extras: Those of this project that have them, such as `webrtc,transcriber`.

    Raises:
        EarshotError: NOT_INSTALLED.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or OURS[0]).partition(".")[0] in OURS:
            raise
        words = (
            f"what {what} needs is not installed here ({error}): {how_to_install(extras)}, or use an image that has it"
        )
        raise EarshotError(SubCode.NOT_INSTALLED, words) from None


def how_to_install(extras: str) -> str:
    """The command. From a checkout, never by name: `earshot` of the package index is a project of others."""
    return f"in the folder of Earshot's sources pip install '.[{extras}]'"
