"""`python -m transcriber` is `earshot-transcriber`."""

from __future__ import annotations

from common.interrupts import quiet_while_loading


def main() -> None:
    """Loads the command line, runs it, and exits."""
    with quiet_while_loading():
        from transcriber.cli import main as run
    run()


if __name__ == "__main__":
    main()
