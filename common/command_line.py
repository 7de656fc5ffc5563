"""A command line for people: failures as clean text on standard error and the exit code that belongs to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

from common.contracts.status import MEANINGS, SubCode
from common.errors import EarshotError
from common.problems import ConfigError

if TYPE_CHECKING:
    from rich.console import Console


class Commands(TyperGroup):
    """Turns an EarshotError into its text and exit code, and Ctrl-C into 130."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Runs the chosen command."""
        try:
            return super().invoke(ctx)
        except EarshotError as error:
            print_error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(MEANINGS[SubCode.INTERRUPTED].exit_code) from None


def print_error(error: EarshotError) -> None:
    """Says what went wrong; of a configuration every problem, and its warnings: a typo is often the cause."""
    stderr().print(f"earshot: {error.code}:", style="bold red", end=" ")
    if not isinstance(error, ConfigError):
        stderr().print(str(error))
        return
    stderr().print(error.count)
    for problem in error.problems:
        stderr().print(f"  {problem.path}", style="bold")
        stderr().print(f"      is       {problem.value}")
        stderr().print(f"      allowed  {problem.allowed}")
    print_warnings(error.warnings)


def print_warnings(warnings: Iterable[str]) -> None:
    """One line each."""
    for warning in warnings:
        stderr().print("warning:", style="bold yellow", end=" ")
        stderr().print(warning)


def stderr() -> Console:
    """Standard error, for text that is printed as it is."""
    from rich.console import Console  # 5 MB: only where something is to be said

    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
