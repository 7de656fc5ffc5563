"""Every fault, five rounds of each at full length: `python -m bench.faults` (`make faults`) writes faults.json.

Runs tests/faults, and the tests elsewhere that docs/reliability.md points to, a few at a time: most of them wait. From
the numbers tools/generate_docs.py writes that page; a run that fails writes them, too. `--only TEST…`: those again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.faults.promises import PROMISES

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 120
"""For a test that says nothing else: this is no place to find out that the machine is busy."""
RESULT = Path(__file__).parent / "faults.json"
WORKERS = 5
"""At a time, on two cores."""


def tests() -> list[str]:
    """What is run: the faults, and each test elsewhere that a promise names."""
    elsewhere = {test for promise in PROMISES for test in promise.tests if not test.startswith("tests/faults/")}
    return ["tests/faults", *sorted(elsewhere)]


def outcomes(report: Path) -> dict[str, dict[str, Any]]:
    """Test, without its parameters → how often it passed, failed or was skipped, and the seconds of its longest run."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"passed": 0, "failed": 0, "skipped": 0, "longest_s": 0.0})
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        kind = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        name = named(case.get("classname", ""), case.get("name", ""))
        found[name][kind] += 1
        found[name]["longest_s"] = max(found[name]["longest_s"], round(float(case.get("time", "0")), 1))
    return dict(sorted(found.items()))


def named(where: str, name: str) -> str:
    """As promises name a test: `folder/file.py::[Class::]function`, without parameters."""
    module, _, group = where.partition(".Test")
    file = module.replace(".", "/") + ".py"
    return "::".join([file, *([f"Test{group}"] if group else []), re.sub(r"\[.*", "", name)])


def numbers(lines: str) -> dict[str, dict[str, list[float]]]:
    """Test → what it measured → the values of all rounds."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines.splitlines():
        noted = json.loads(line)
        test, _ = noted.pop("test"), noted.pop("seed")
        for name, value in noted.items():
            found[test][name].append(value)
    return {test: {name: sorted(values) for name, values in sorted(of.items())} for test, of in sorted(found.items())}


def run(asked: argparse.Namespace, chosen: list[str]) -> tuple[int, dict[str, Any]]:
    """Runs tests; returns pytest's exit code and what was measured."""
    began, load = time.time(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        report, measured = Path(folder) / "report.xml", Path(folder) / "numbers"
        measured.touch()
        environment = {
            **os.environ,
            "EARSHOT_FAULT_ROUNDS": str(asked.rounds),
            "EARSHOT_FAULT_SEED": str(asked.seed),
            "EARSHOT_FAULT_RESULTS": str(measured),
        }
        command = [sys.executable, "-m", "pytest", *chosen, "-n", str(asked.workers), "--dist", "worksteal"]
        command += ["-o", f"timeout={TIMEOUT_S}"]
        code = subprocess.run([*command, f"--junitxml={report}"], cwd=ROOT, env=environment, check=False).returncode
        return code, {
            "date": time.strftime("%Y-%m-%d", time.gmtime(began)),
            "rounds": asked.rounds,
            "first_seed": asked.seed,
            "workers": asked.workers,
            "minutes": round((time.time() - began) / 60, 1),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load_before": round(load, 1),
            "note": asked.note,
            "tests": outcomes(report),
            "numbers": numbers(measured.read_text(encoding="utf-8")),
        }


def merged(before: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """A whole run in which some tests have the outcome of a later one, which says so."""
    said = {key: again[key] for key in ("date", "rounds", "workers", "load_before", "note")}
    kinds = {kind: before[kind] | again[kind] for kind in ("tests", "numbers")}
    return before | kinds | {"again": [*before.get("again", []), said | {"tests": sorted(again["tests"])}]}


def main() -> int:
    """Runs them, writes the numbers, and returns pytest's exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--workers", type=int, default=WORKERS)
    arguments.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the first round"
    )
    arguments.add_argument("--note", default="", help="what else ran on the machine meanwhile")
    arguments.add_argument("--only", nargs="+", metavar="TEST", help="files or tests to run again")
    asked = arguments.parse_args()
    code, result = run(asked, asked.only or tests())
    if asked.only:
        before = json.loads(RESULT.read_text(encoding="utf-8"))
        result = merged(before, result)
    total: Counter[str] = Counter()
    for outcome in result["tests"].values():
        total.update({kind: outcome[kind] for kind in ("passed", "failed", "skipped")})
    RESULT.write_text(json.dumps(result | {"total": dict(total)}, indent=1) + "\n", encoding="utf-8")
    print(f"{RESULT}: {dict(total)} in {result['minutes']} minutes; now: python tools/generate_docs.py")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
