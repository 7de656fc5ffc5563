"""Checks that each pure module is covered to the last branch by its own unit tests alone: test_x.py, test_x_*.py.

python tools/own_coverage.py            all of them, as `make check` does
python tools/own_coverage.py NAME...    some, for example bot.codecs.rtp
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.architecture.test_arrows import PURE, is_inside  # noqa: E402
from tests.support.source import functions, modules  # noqa: E402


def check(name: str) -> tuple[str, str]:
    """Runs one module's own test under coverage; returns the name and the complaint, empty when all is covered."""
    *folders, last = name.split(".")
    folder_of_tests = ROOT / "tests" / "unit" / "/".join(folders)
    own = [str(path) for pattern in (f"test_{last}.py", f"test_{last}_*.py") for path in folder_of_tests.glob(pattern)]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "COVERAGE_FILE": str(Path(folder) / "coverage"), "EARSHOT_EXAMPLES": "40"}
        coverage = [sys.executable, "-m", "coverage"]
        run = [*coverage, "run", "--branch", "-m", "pytest", "-q", *own]
        ran = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            return name, ran.stdout[-2000:] + ran.stderr[-500:]
        only = f"--include={name.replace('.', '/')}.py,{name.replace('.', '/')}/__init__.py"
        report = [*coverage, "report", "-m", "--fail-under=100", "--format=total", only]
        shown = subprocess.run(report, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if shown.returncode == 0:
            return name, ""
        lines = subprocess.run(
            [*coverage, "report", "-m", only], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        return name, lines.stdout


def main() -> int:
    """Checks the named modules, or all pure ones."""
    names = sys.argv[1:] or [
        name for name, tree in modules().items() if any(is_inside(name, pure) for pure in PURE) and functions(tree)
    ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(cores) as pool:
        complaints = {name: complaint for name, complaint in pool.map(check, names) if complaint}
    for name, complaint in complaints.items():
        print(f"--- {name}\n{complaint}")
    print(
        f"{len(names) - len(complaints)} of {len(names)} pure modules are covered to the last branch by their own test"
    )
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
