"""Commands in an installation without the extra that they need: a sentence that says what to install, no traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = """\
import runpy, sys
sys.modules[sys.argv.pop(1)] = None
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    ("package", "command", "code", "extras"),
    [
        ("uvicorn", "transcriber --port 0 --http-port 0", 3, "transcriber"),
        ("av", "transcriber calibrate --model demo", 3, "transcriber"),
        ("aiortc", "rehearsal room nowhere.json", 4, "webrtc"),
        ("jiwer", "rehearsal demo", 4, "demo"),
    ],
)
def test_it_says_what_to_install(package: str, command: str, code: int, extras: str) -> None:
    """Before anything is begun: the demo's score comes after half a minute."""
    module, *arguments = command.split()
    started = [sys.executable, "-c", WITHOUT, package, module, *arguments]
    ended = subprocess.run(started, capture_output=True, text=True, timeout=50, check=False)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1), ended.stderr
    assert f"import of {package} halted" in ended.stderr
    assert f"pip install '.[{extras}]'" in ended.stderr
