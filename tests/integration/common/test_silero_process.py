"""The Silero model in a process of its own: what comes with it, and what it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.processes
def test_a_process_that_loads_it_has_nothing_else(tmp_path: Path) -> None:
    """Not faster-whisper, of whose wheel the bot takes this one file; and onnxruntime's own reporting stays off: no
    device id, no event database in the home folder."""
    program = """if True:
        import sys, time
        from common.audio.silero import SileroModel
        SileroModel()
        time.sleep(0.2)
        sys.exit("faster_whisper" in sys.modules)
    """
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, env={**environment, "HOME": str(tmp_path)}, check=False).returncode == 0
    assert list(tmp_path.iterdir()) == []
