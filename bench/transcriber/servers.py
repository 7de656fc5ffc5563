"""The variants: how each server is started on a core of its own, watched, and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from transcriber.engine.models import DEMO_FOLDER

ROOT = Path(__file__).parents[2]
HERE = Path("bench/transcriber")
MAX_CLIENTS = 256
GPU = "gpu-"
"""So begin the keys of our variants on a GPU."""
START = 60.0
STOP = 10.0
"""Seconds until a server listens, and until it is killed."""
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Variant:
    """A server with its options.

    Args:
        key: Short name.
        title: What the report calls it.
        threshold: The client's `same_output_threshold`; ours ignores it.
        options: Of stock_server.py, or of our command line.
    """

    key: str
    title: str
    threshold: int = 10
    options: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Ours or theirs."""
        return self.key == "ours" or self.key.startswith(GPU)

    def command(self, model: str, port: int, http_port: int, cores: int = 1) -> list[str]:
        """With the demo model (`demo`), what costs as much as base (`base`, on one core), or a folder's model."""
        if not self.is_ours:
            base = ("--base",) if model == "base" else ()
            folder = str(DEMO_FOLDER) if model in ("demo", "base") else model
            return [sys.executable, str(HERE / "stock_server.py"), folder, str(port), *self.options, *base]
        if model == "base":
            return [sys.executable, str(HERE / "our_server.py"), str(port), str(http_port), str(MAX_CLIENTS)]
        ports = ["--port", str(port), "--http-port", str(http_port)]
        more = ["--parallel", str(cores)] if cores > 1 and self.key == "ours" else []
        real = [] if model == "demo" else ["--model", model]
        device = [] if self.key.startswith(GPU) else ["--device", "cpu"]
        command = [sys.executable, "-m", "transcriber", *ports, "--max-clients", str(MAX_CLIENTS)]
        return [*command, *device, *more, *real, *self.options]


VARIANTS = {
    variant.key: variant
    for variant in (
        Variant("ours", "Earshot"),
        Variant("tuned", "whisper-live, T=2", threshold=2),
        Variant("batch", "whisper-live, batch mode, T=2", threshold=2, options=("--batch",)),
        Variant("default", "whisper-live, default"),
    )
}
"""Those of the demo model's grid."""
REAL_VARIANTS = {
    variant.key: variant
    for variant in (
        VARIANTS["ours"],
        Variant("t0", "whisper-live, T=0", threshold=0),
        Variant("t1", "whisper-live, T=1", threshold=1),
        VARIANTS["tuned"],
        Variant("default", "whisper-live, default (T=10)"),
    )
}
"""Those that get real weights and real speech."""


def variant_of(key: str) -> Variant:
    """By its key; `gpu-COMPUTE_TYPE-bBATCH` is ours on a GPU."""
    if key.startswith(GPU):
        compute_type, _, batch = key.removeprefix(GPU).rpartition("-b")
        engine = f"bench.transcriber.gpu:up_to_{batch}"
        options = ("--device", "cuda", "--compute-type", compute_type, "--engine", engine)
        return Variant(key, f"Earshot, {compute_type}, batch ≤ {batch}", options=options)
    return (VARIANTS | REAL_VARIANTS)[key]


class Server:
    """A running one."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._process = process
        self.url = f"ws://127.0.0.1:{port}"
        self.log = log
        """What it wrote."""

    @property
    def is_running(self) -> bool:
        """Until it ends."""
        return self._process.poll() is None

    def cpu(self) -> float:
        """Seconds that it and its children have used, ended children included."""
        return sum(map(_cpu, tree(self._process.pid)))

    def memory(self) -> float:
        """MiB of resident set size, with its children; what they share counts for each."""
        return sum(map(_resident, tree(self._process.pid))) * PAGE / 2**20

    def threads(self) -> int:
        """With its children's."""
        return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in tree(self._process.pid))


@contextmanager
def running(variant: Variant, model: str, cores: Sequence[int]) -> Iterator[Server]:
    """A fresh server, all of it on these cores, until the block ends.

    Raises:
        RuntimeError: It does not start.
    """
    port, http_port = _free_port(), _free_port()
    command = variant.command(model, port, http_port, len(cores))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["taskset", "-c", ",".join(map(str, cores)), *command],
                stdout=output, stderr=output, cwd=ROOT, env=environment(len(cores)),
            )  # fmt: skip
        try:
            _wait_until_listening(process, port, log)
            yield Server(process, port, log)
        finally:
            _stop(process)


def environment(threads: int = 1) -> dict[str, str]:
    """In which whisper-live can be imported without PyTorch, and uses so many threads for one decoding."""
    path = os.pathsep.join([str(ROOT / "tests/conformance/stubs"), str(ROOT)])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"}


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        with suppress(OSError):
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return found


def core_seconds(cores: Sequence[int]) -> tuple[float, float]:
    """Busy and stolen seconds of these cores since boot."""
    busy = stolen = 0
    rows = [row.split() for row in Path("/proc/stat").read_text().splitlines()]
    for row in (row for row in rows if row[0] in {f"cpu{core}" for core in cores}):
        user, nice, system, _, _, irq, softirq, steal = map(int, row[1:9])
        busy, stolen = busy + user + nice + system + irq + softirq, stolen + steal
    return busy / TICKS, stolen / TICKS


def _cpu(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0


def _resident(pid: int) -> int:
    """Pages."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"The server does not start:\n{log.read_text(errors='replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    below = tree(process.pid)
    process.terminate()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in below[1:]:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
