"""`python -m rehearsal`: what `earshot room` and `earshot demo` run."""

from __future__ import annotations

from rehearsal.cli import main

if __name__ == "__main__":
    main()
