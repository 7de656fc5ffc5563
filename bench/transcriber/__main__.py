"""`python -m bench.transcriber run|report|rescore|soak`: see bench/transcriber.md."""

from __future__ import annotations

import argparse
import time

from bench.transcriber.cells import Plan, run_all


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.transcriber", description=__doc__)
    parser.add_argument("--server-core", type=int, default=2)
    parser.add_argument("--driver-core", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=75.0)
    given = parser.parse_args()
    until = time.monotonic() + 60 * given.minutes
    run_all(Plan().everything(), given.server_core, given.driver_core, until)


if __name__ == "__main__":
    main()
