"""The one exception for people: what happened, which setting or peer, what to do, and a public sub-code."""

from __future__ import annotations

from common.contracts.status import MEANINGS, SubCode


class EarshotError(Exception):
    """A failure for people: what happened, which setting or peer, what to do, and the public sub-code."""

    def __init__(self, code: SubCode, message: str, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.evidence = evidence
        """Paths of files that show what went wrong, such as a screenshot."""

    @property
    def exit_code(self) -> int:
        """The process exit status of this failure."""
        return MEANINGS[self.code].exit_code
