"""Checks that each pure module is covered to the last branch by its own unit tests alone: test_x.py, test_x_*.py.

python tools/own_coverage.py            all of them, as `make check` does
python tools/own_coverage.py NAME...    some, for example bot.codecs.rtp

Each module has a process of its own, forked from one that has imported what all tests need and nothing of ours.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import sys
from pathlib import Path

import coverage
import numpy
import pydantic
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ["EARSHOT_EXAMPLES"] = "40"

from tests.architecture.test_arrows import PURE, is_inside  # noqa: E402
from tests.support.source import functions, modules  # noqa: E402

SHARED = (numpy, pydantic)


def check(name: str) -> tuple[str, str]:
    """Runs one module's own test under coverage; returns the name and the complaint, empty when all is covered."""
    *folders, last = name.split(".")
    folder_of_tests = ROOT / "tests" / "unit" / "/".join(folders)
    own = [str(path) for pattern in (f"test_{last}.py", f"test_{last}_*.py") for path in folder_of_tests.glob(pattern)]
    if not own:  # pytest would take that for all tests that there are
        return name, f"no test of its own in {folder_of_tests.relative_to(ROOT)}"
    paths = [f"{name.replace('.', '/')}.py", f"{name.replace('.', '/')}/__init__.py"]
    measured = coverage.Coverage(data_file=None, branch=True)
    measured.set_option("run:source", None)
    measured.set_option("run:include", paths)
    with contextlib.redirect_stdout(io.StringIO()) as said, measured.collect():
        code = pytest.main(["-q", *own])
    if code:
        return name, said.getvalue()[-2500:]
    table = io.StringIO()
    share = measured.report(file=table, show_missing=True)
    return name, "" if share == 100 else table.getvalue()


def main() -> int:
    """Checks the named modules, or all pure ones."""
    os.chdir(ROOT)
    names = sys.argv[1:] or [
        name for name, tree in modules().items() if any(is_inside(name, pure) for pure in PURE) and functions(tree)
    ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with multiprocessing.get_context("fork").Pool(cores, maxtasksperchild=1) as pool:
        complaints = {name: complaint for name, complaint in pool.imap_unordered(check, names) if complaint}
    for name, complaint in complaints.items():
        print(f"--- {name}\n{complaint}")
    print(
        f"{len(names) - len(complaints)} of {len(names)} pure modules are covered to the last branch by their own test"
    )
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
