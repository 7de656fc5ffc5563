"""`python -m bench.transcriber run`, then `report`; see bench/transcriber.md."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import time
from pathlib import Path

from bench.transcriber import report
from bench.transcriber.cells import Plan, rescore, revision, run_all
from bench.transcriber.offline import offline
from bench.transcriber.results import FOLDER, Raw, read
from bench.transcriber.score import summary
from bench.transcriber.soak import soak

PACKAGES = ("whisper-live", "faster-whisper", "ctranslate2", "onnxruntime", "websockets", "numpy")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.transcriber", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="measure every cell that has no results yet")
    usual = ",".join(map(str, [core for core in (2, 1) if core < (os.cpu_count() or 1) - 1] or [0]))
    running.add_argument("--server-cores", default=usual, help="as many as are free, such as 2,1; most cells use one")
    running.add_argument("--driver-core", type=int, default=(os.cpu_count() or 1) - 1)
    running.add_argument("--minutes", type=float, default=75.0, help="start no cell that would end later")
    running.add_argument("--only", default="", help="cells whose name begins so, such as demo-speech-100")
    soaking = commands.add_parser("soak", help="twenty minutes and four thousand clients: memory")
    soaking.add_argument("--core", type=int, default=1)
    soaking.add_argument("--minutes", type=float, default=20.0)
    soaking.add_argument("--connects", type=int, default=4000)
    commands.add_parser("rescore", help="score the messages in build/ again")
    commands.add_parser("report", help="write bench/transcriber.md and its figures")
    given = parser.parse_args()
    if given.command == "run":
        until = time.monotonic() + 60 * given.minutes
        store("machine", machine(given.driver_core))
        store("offline", {"wer": summary(offline())["wer"]})
        cells = (cell for cell in Plan().everything() if cell.key.startswith(given.only))
        run_all(cells, [int(core) for core in given.server_cores.split(",")], given.driver_core, until)
    elif given.command == "soak":
        store("soak", {"commit": revision()} | soak(given.core, given.minutes, given.connects))
    elif given.command == "rescore":
        for cell in read().cells:
            rescore(cell)
    else:
        print(report.write(read()))


def store(name: str, raw: Raw) -> None:
    """A file beside those of the cells."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(raw, separators=(",", ":")) + "\n")


def machine(driver_core: int) -> Raw:
    """Where and with what the numbers are made."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next(iter(re.findall(r"model name\s*: (.*)", text)), platform.machine())
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": f"{model}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load generator's core": driver_core,
    } | {name: importlib.metadata.version(name) for name in PACKAGES}


if __name__ == "__main__":
    main()
