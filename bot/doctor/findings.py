"""Findings of checks, and the table of all of them with an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.table import Table

from common.contracts.status import MEANINGS, SubCode


class Verdict(StrEnum):
    """How it stands."""

    WORKS = "works"
    DOUBTFUL = "doubtful"
    """The bot runs, and somebody will be unhappy."""
    FAILS = "fails"
    """The bot does not run, or not well."""
    SKIPPED = "not tried"


COLOURS = {Verdict.WORKS: "green", Verdict.DOUBTFUL: "yellow", Verdict.FAILS: "bold red", Verdict.SKIPPED: "dim"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found.

    Args:
        subject: What was tried.
        verdict: How it stands.
        detail: What was seen, for people.
        remedy: What to do about it; empty: nothing.
        code: How a bot would end on it; None: it would not.
    """

    subject: str
    verdict: Verdict
    detail: str
    remedy: str = ""
    code: SubCode | None = None


def exit_code(findings: Sequence[Finding]) -> int:
    """That of the first failure, as a bot would end on it; 0 when everything works, or is only doubtful."""
    failures = [finding for finding in findings if finding.verdict is Verdict.FAILS]
    return MEANINGS[failures[0].code or SubCode.INTERNAL_ERROR].exit_code if failures else 0


def print_table(findings: Sequence[Finding], console: Console) -> None:
    """All of them, and what to do about those that ask for something."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(finding.subject, f"[{COLOURS[finding.verdict]}]{finding.verdict}[/]", _plain(finding.detail))
    console.print(table)
    asking = [finding for finding in findings if finding.remedy]
    if asking:
        console.print("\nWhat to do")
    for finding in asking:
        console.print(f"  {finding.subject}: {_plain(finding.remedy)}", soft_wrap=True)


def _plain(text: str) -> str:
    """Text of others, of which nothing is markup."""
    return text.replace("[", r"\[")
