"""The writer of a recording: bots that were killed, names that strangers chose, and meetings of hours."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from bot.audio.slices import MIX, Done, Piece
from bot.recording.index import Meeting, Recorded, Spoken
from bot.recording.writer import Whose, Writer
from tests.support.disk import largest_file

RATE = 16_000
KILLED = """
import os, sys, threading, time
from pathlib import Path
import numpy as np
from bot.audio.slices import Done, Piece
from bot.recording.index import Meeting
from bot.recording.writer import Whose, Writer
folder, kind = Path(sys.argv[1]), sys.argv[2]
writer = Writer(folder, Meeting("bot-1", 1, "rtp", 1000.0, 60, kind), lambda each: None, print, lambda: None)
writer.start()
writer.put(Piece("ana", 0, 0, np.full(RATE, 500, np.int16)))
writer.put(Whose(Done("ana", 0), "a", "Ana"))
for second in range(5):
    writer.put(Piece("ana", 1, (61 + second) * RATE, np.full(RATE, 1000, np.int16)))
end = time.monotonic() + 20
part = folder / "bot-1" / "ana" / f"000001.part.{kind}"
while time.monotonic() < end and not (part.exists() and part.stat().st_size > 300 and not writer._jobs):
    time.sleep(0.05)
time.sleep(0.3)
os._exit(9)
""".replace("RATE", str(RATE))


def written(folder: Path, *jobs: Piece | Whose | Spoken, kind: str = "wav") -> tuple[list[Recorded], list[str]]:
    """What becomes of these: the files, and why it failed."""
    files: list[Recorded] = []
    failures: list[str] = []
    over = threading.Event()
    writer = Writer(
        folder, Meeting("bot-1", 1, "rtp", 2000.0, 60, kind), files.append, failures.append, over.set
    )  # fmt: skip
    writer.start()
    for job in jobs:
        writer.put(job)
    writer.finish()
    assert over.wait(20)
    return files, failures


def second(line: str, slice: int = 0, value: int = 100) -> Piece:
    """Of a line."""
    return Piece(line, slice, slice * 60 * RATE, np.full(RATE, value, np.int16))


def length(path: Path) -> int:
    """Samples of a file."""
    with av.open(str(path)) as file:
        return sum(frame.samples for frame in file.decode(audio=0))


def index(folder: Path) -> dict[str, Any]:
    """Of the bot."""
    found: dict[str, Any] = json.loads((folder / "bot-1" / "index.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_what_a_killed_bot_has_left_behind_is_kept(kind: str, tmp_path: Path) -> None:
    """Started again in the same slice it writes over nothing; what was left gets its name, times and place."""
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), kind], timeout=50, check=False).returncode == 9
    (unfinished,) = index(tmp_path)["unfinished"]
    assert unfinished == {"path": f"ana/000001.part.{kind}", "track": "ana", "start": 61.0}
    files, failures = written(
        tmp_path, second("ana", 1), Whose(Done("ana", 1), "a", "Ana"), kind=kind
    )  # fmt: skip
    assert failures == []
    assert [(each.seq, each.path, each.speaker) for each in files] == [
        (1, f"ana/000001.{kind}", "Ana"),
        (2, f"ana/000001-2.{kind}", "Ana"),
    ]
    assert files[0].absolute_start_time == "1970-01-01T00:17:41.000Z"
    kept = length(tmp_path / "bot-1" / files[0].path)
    assert kept > 3 * RATE
    assert files[0].end == round(61 + kept / RATE, 3)
    found = index(tmp_path)
    assert (found["finished"], found["unfinished"], len(found["files"])) == (True, [], 3)
    assert not list((tmp_path / "bot-1").rglob("*.part*"))


def test_what_another_bot_is_writing_is_left_alone(tmp_path: Path) -> None:
    """Two at once with one connectionId, while one gives way to the other: each has files of its own."""
    files: list[Recorded] = []
    over = threading.Event()
    failures: list[str] = []
    first = Writer(tmp_path, Meeting("bot-1", 1, "rtp", 0.0, 60, "wav"), files.append, failures.append, over.set)
    first.start()
    first.put(second("ana", value=1))
    part = tmp_path / "bot-1" / "ana" / "000000.part.wav"
    while not part.exists() or not index(tmp_path)["unfinished"]:
        pass
    others, _ = written(tmp_path, second("ana", value=2), Whose(Done("ana", 0), "a", "Ana"))
    first.finish()
    assert over.wait(20)
    assert failures == []
    assert {each.path for each in (*files, *others)} == {"ana/000000.wav", "ana/000000-2.wav"}
    assert all(length(tmp_path / "bot-1" / each.path) == RATE for each in (*files, *others))


def test_names_of_our_own_files(tmp_path: Path) -> None:
    """Tracks called as the mix, or as the index is, and one whose id is half an emoji, are tracks like others."""
    names = ["mix", "index.json", "\ud83d", "..", "../x", "a" * 300, MIX]
    jobs = [job for name in names for job in (second(name), Whose(Done(name, 0), name.strip("\0"), "Ana"))]
    files, failures = written(tmp_path, *jobs, Spoken("\ud83d", "Ana", 0.0, 1.0))
    assert failures == []
    assert len({Path(each.path).parent for each in files}) == len(names)
    assert [each.track for each in files if each.path.startswith("mix/")] == ["mix"]
    assert sorted(each.seq for each in files if each.track == "mix") == [0, 1]
    assert [each["speaker_id"] for each in index(tmp_path)["speech"]] == ["?"]
    assert all(".." not in Path(each.path).parts for each in files)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_disk_that_is_full_when_a_slice_ends(kind: str, tmp_path: Path) -> None:
    """What has no room is the last half second of the slice; what was written of it before is a finished file."""
    noise = np.random.default_rng(1).integers(-32_768, 32_767, 3 * RATE).astype(np.int16)
    pieces = [Piece("ana", 0, second * RATE, noise[second * RATE :][:RATE]) for second in range(2)]
    last = Piece("ana", 0, 2 * RATE, noise[2 * RATE :][:15_000])
    with largest_file(80_000):
        files, failures = written(tmp_path, *pieces, last, Whose(Done("ana", 0), "a", "Ana"), kind=kind)
    assert len(failures) == 1
    assert [each.path for each in files] == [f"ana/000000.{kind}"]
    assert [each["path"] for each in index(tmp_path)["files"]] == [f"ana/000000.{kind}"]
    assert [path.name for path in (tmp_path / "bot-1" / "ana").iterdir()] == [f"000000.{kind}"]
    assert length(tmp_path / "bot-1" / files[0].path) >= 1.8 * RATE


def test_a_bug_is_said_even_where_the_index_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for files hears that there will be none."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Writer, "_write_index", broken)
    _, failures = written(tmp_path, second("ana"))
    assert failures == ["a bug in the bot, see the log"]


def test_the_index_of_a_long_meeting_is_written_once_for_all_tracks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its entries are made once: after hours each writing would cost seconds."""
    writings: list[int] = []
    before = Writer._write_index

    def counted(writer: Writer, *, finished: bool = False) -> None:
        writings.append(1)
        before(writer, finished=finished)

    monkeypatch.setattr(Writer, "_write_index", counted)
    jobs: list[Piece | Whose | Spoken] = []
    for slice in range(50):
        jobs += [second(f"t{number}", slice) for number in range(4)]
        jobs += [Whose(Done(f"t{number}", slice), "a", "Ana") for number in range(4)]
    writer_files, failures = written(tmp_path, *jobs)
    assert (len(writer_files), failures) == (200, [])
    assert len(writings) < 60
    assert [each["seq"] for each in index(tmp_path)["files"] if each["track"] == "t3"] == list(range(50))
