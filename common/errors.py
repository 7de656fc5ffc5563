"""The one exception for people: what happened, which setting or peer, what to do, and a public sub-code."""

from __future__ import annotations

from collections.abc import Iterable

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


def raise_together(outcomes: Iterable[object]) -> None:
    """Raises what is an exception among outcomes: several failures for people as one, that names each; a bug alone."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for failure in failures:
        if not isinstance(failure, EarshotError):
            raise failure
    errors = [failure for failure in failures if isinstance(failure, EarshotError)]
    if errors:
        raise EarshotError(errors[0].code, " · ".join(map(str, errors)))
