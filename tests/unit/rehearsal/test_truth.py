"""The truth file: rows at once, and failures that name the option."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from common.problems import ConfigError
from rehearsal.microphone import Truth
from rehearsal.truth import TruthFile

ROW = Truth("ana", "Änne", "hello", 1.0, 2.0, 1_700_000_000.0, True)


def test_rows_are_on_disk_at_once(tmp_path: Path) -> None:
    """Whoever reads along sees each row when it is known; without a path they go nowhere."""
    with TruthFile(str(tmp_path / "truth")) as truth:
        truth.write([ROW, ROW])
        assert [json.loads(line) for line in (tmp_path / "truth").read_text("utf-8").splitlines()] == [asdict(ROW)] * 2
    with TruthFile() as nowhere:
        nowhere.write([ROW])


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """The option, and why."""
    with pytest.raises(ConfigError, match=r"--truth: .*Is a directory"):
        TruthFile(str(tmp_path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_a_disk_that_is_full() -> None:
    """Said once, when the row is written; closing adds nothing."""
    with pytest.raises(ConfigError, match=r"--truth: .*No space left on device"), TruthFile("/dev/full") as truth:
        truth.write([ROW])
