"""`python -m rehearsal`: what `earshot room` and `earshot demo` run."""

from __future__ import annotations

from common.interrupts import quiet_while_loading


def main() -> None:
    """Loads the command line, runs it, and exits."""
    with quiet_while_loading():
        from rehearsal.cli import main as run
    run()


if __name__ == "__main__":
    main()
