"""The Silero model in a process of its own: what comes with it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.processes
def test_a_process_that_loads_it_has_nothing_else() -> None:
    """Not faster-whisper, of whose wheel the bot takes this one file, nor onnxruntime, which would make 32 MB of it."""
    program = """if True:
        import sys
        from common.audio.silero import SileroModel
        SileroModel().stream()
        sys.exit(not {"faster_whisper", "onnxruntime"}.isdisjoint(sys.modules))
    """
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
