"""`python -m bench.transcriber run`, then `report`; see bench/transcriber.md."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
import time
from pathlib import Path

from bench.transcriber import gpu, real, report
from bench.transcriber.cells import LOGS, Plan, prefer, rescore, revision, run_all
from bench.transcriber.headline import PACKAGES
from bench.transcriber.offline import offline
from bench.transcriber.results import FOLDER, Raw, read
from bench.transcriber.score import summary
from bench.transcriber.soak import soak


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
    for name, what in (
        ("real", "the same servers with real weights on real English speech, in 40 minutes"),
        ("gpu", "ours with real weights on a GPU, where there is one"),
    ):
        measuring = commands.add_parser(name, help=what)
        measuring.add_argument("--model", type=Path, required=True, help="folder of a CTranslate2 Whisper")
        measuring.add_argument(
            "--speech", type=Path, required=True, help="clips, transcripts, SOURCES.md: bench/tracks.py"
        )
        measuring.add_argument("--server-cores", default=None, help="the usual: all here, or on a GPU all but one")
        measuring.add_argument("--driver-core", type=int, default=(os.cpu_count() or 1) - 1)
        measuring.add_argument("--minutes", type=float, default=40.0, help="start no cell that would end later")
        measuring.add_argument("--quick", action="store_true", help="a cell of each kind in five minutes; only printed")
    scoring = commands.add_parser("rescore", help="score the messages in build/ again")
    scoring.add_argument("--speech", type=Path, help="for cells of real speech: the clips that they played")
    commands.add_parser("report", help="write bench/transcriber.md and its figures")
    given = parser.parse_args()
    if given.command == "run":
        prefer(given.driver_core)
        until = time.monotonic() + 60 * given.minutes
        store("machine", machine(given.driver_core))
        store("offline", {"wer": summary(offline())["wer"]})
        cells = (cell for cell in Plan().everything() if cell.key.startswith(given.only))
        run_all(cells, [int(core) for core in given.server_cores.split(",")], until)
    elif given.command in ("real", "gpu"):
        measure(given)
    elif given.command == "soak":
        store("soak", {"commit": revision()} | soak(given.core, given.minutes, given.connects))
    elif given.command == "rescore":
        material = real.read_material(Path(), given.speech) if given.speech else None
        found = read()
        for cell in [*found.cells, *(found.real if material else ())]:
            rescore(cell, material if cell in found.real else None)
    else:
        print(report.write(read()))


def measure(given: argparse.Namespace) -> None:
    """Cells with real weights: all of the plan, or with `--quick` a few that leave nothing but what is printed."""
    until = time.monotonic() + 60 * given.minutes
    device = gpu.name() if given.command == "gpu" else None
    if given.command == "gpu" and device is None:
        print(gpu.NONE)
        return
    try:
        material = real.read_material(given.model, given.speech)
        played = real.describe(material)
    except (OSError, ValueError) as error:
        raise SystemExit(f"--model must be a CTranslate2 Whisper, --speech as bench/tracks.py says: {error}") from error
    every = range(os.cpu_count() or 1)
    usual = [core for core in every if not device or core != given.driver_core] or [*every]
    cores = [int(core) for core in given.server_cores.split(",")] if given.server_cores else usual
    folder = LOGS / "quick" if given.quick else FOLDER
    if given.quick:
        shutil.rmtree(folder, ignore_errors=True)
        os.sched_setaffinity(0, {given.driver_core})
    else:
        prefer(given.driver_core)
    before = read(folder).extra.get(given.command, {})
    if before and any(before.get(key) != value for key, value in played.items()):
        raise SystemExit(f"{folder} has cells of other weights, windows or clips: move {given.command}* away first.")
    about = machine(given.driver_core) | played
    plan: real.Plan | gpu.Plan
    if device:
        plan = gpu.Plan(folder, len(cores))
        store("gpu", about | {"gpu": device}, folder)
    else:
        plan = real.Plan(folder, len(cores))
        best = before.get("offline") or [real.offline(material, beam) for beam in real.OFFLINE_BEAMS]
        store("real", about | {"offline": best}, folder)
    run_all(plan.quick() if given.quick else plan.everything(), cores, until, folder, material)
    if given.quick:
        print(report.render(read(folder)))


def store(name: str, raw: Raw, folder: Path = FOLDER) -> None:
    """A file beside those of the cells."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(raw, separators=(",", ":")) + "\n")


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
