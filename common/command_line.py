"""A command line for people: failures as clean text on standard error and the exit code that belongs to them."""

from __future__ import annotations

import typer
from rich.console import Console
from typer.core import TyperGroup

from common.contracts.status import MEANINGS, SubCode
from common.errors import EarshotError


class Commands(TyperGroup):
    """Turns an EarshotError into its text and exit code, and Ctrl-C into 130."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Runs the chosen command."""
        try:
            return super().invoke(ctx)
        except EarshotError as error:
            self.print_error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(MEANINGS[SubCode.INTERRUPTED].exit_code) from None

    def print_error(self, error: EarshotError) -> None:
        """Says what went wrong."""
        stderr().print(f"earshot: {error.code}:", style="bold red", end=" ")
        stderr().print(str(error))


def stderr() -> Console:
    """Standard error, for text that is printed as it is."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
