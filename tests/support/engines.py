"""Scripted engines by name, for an engine's process: `tests.support.engines:scripted`. A prompt is the script."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

from tests.support.fakes.scripted_engine import ScriptedEngine
from transcriber.config import Settings
from transcriber.core.windows import Hypothesis, Window
from transcriber.engine.base import ModelError

ODD = {
    "none": None,
    "few": [],
    "str": ["secret"],
    "text": [Hypothesis(None)],  # type: ignore[arg-type]
    "type": [type("Own", (), {})()],
}
"""Answers that are none, by name."""


class Faulty(ScriptedEngine):
    """Does what the first prompt says before it answers, and says in which process and thread it did."""

    batch = 3

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window, in whose language is `PID THREAD`."""
        what, _, value = next((w.prompt for w in windows if w.prompt), "").partition(" ")
        match what:
            case "raise":
                raise RuntimeError(value)
            case "quote":
                raise KeyError(value)
            case "exit":
                os._exit(int(value))
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "crash":
                ctypes.string_at(0)  # as a bug in a native library would
            case "print":
                print(value, flush=True)  # noqa: T201
            case "sleep":
                time.sleep(float(value))
            case "seize":
                seize(int(value))
            case "odd":
                return ODD[value]  # type: ignore[return-value]
        heard = super().transcribe(windows)
        return [Hypothesis(h.text, language=f"{os.getpid()} {threading.current_thread().name}") for h in heard]


def seize(seconds: int) -> None:
    """Sleeps without letting any other Python thread run, as a hung native library may."""
    ctypes.PyDLL(None).sleep(seconds)


def seized(settings: Settings) -> Faulty:
    """Never ready, and nothing else runs in its process."""
    seize(600)
    return Faulty(settings.model)


def scripted(settings: Settings) -> Faulty:
    """Ready at once."""
    return Faulty(settings.model)


class Mute(Faulty):
    """Answers nothing to anything."""

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """No list at all."""
        return None  # type: ignore[return-value]


def mute(settings: Settings) -> Mute:
    """Never ready: its warm-up is answered like the rest."""
    return Mute(settings.model)


def slow(settings: Settings) -> Faulty:
    """Never ready."""
    time.sleep(600)
    return Faulty(settings.model)


class Sick(Faulty):
    """Its every call fails while the file says `sick`, as after an error of a GPU; its careful ones: `hurried`."""

    def __init__(self, path: Path) -> None:
        super().__init__("sick")
        self._path = path

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window."""
        says = self._path.read_text(encoding="utf-8")
        if says == "sick" or (says == "hurried" and any(window.careful for window in windows)):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return super().transcribe(windows)


def sick(settings: Settings) -> Sick:
    """As the file `model` says at each call; a file beside it has a line per start."""
    _note_try(Path(settings.model))
    return Sick(Path(settings.model))


class Deliberate(Faulty):
    """Takes 0.3 s per call."""

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window."""
        time.sleep(0.3)
        return super().transcribe(windows)


def deliberate(settings: Settings) -> Deliberate:
    """Ready when its warm-up is over."""
    return Deliberate(settings.model)


class Hoarding(Deliberate):
    """Takes many windows of recordings at once."""

    full_batch = 9


def hoarding(settings: Settings) -> Hoarding:
    """Ready when its warm-up is over."""
    return Hoarding(settings.model)


class Fetched(Faulty):
    """Its start was all fetching, as it says."""

    fetching_s = 600.0


def fetched(settings: Settings) -> Fetched:
    """Ready at once."""
    return Fetched(settings.model)


def partial(settings: Settings) -> Faulty:
    """Lacks what recordings need, and decodes no windows at once."""
    engine = Faulty(settings.model)
    engine.batch, engine.full_batch = 0, None  # type: ignore[assignment]
    return engine


def from_file(settings: Settings) -> Faulty:
    """As the file `model` says just now: `ok`, `exit`, `hang` or a problem; a file beside it has a line per try."""
    path = Path(settings.model)
    says = path.read_text(encoding="utf-8").strip()
    _note_try(path)
    if says == "exit":
        os._exit(7)
    if says == "hang":
        time.sleep(600)
    if says != "ok":
        raise ModelError(says)
    return Faulty("from a file")


def broken(settings: Settings) -> Faulty:
    """A bug."""
    raise TypeError(f"no engine for {settings.model}")


@asynccontextmanager
async def hollow(settings: Settings) -> AsyncIterator[SimpleNamespace]:
    """A streaming engine that lacks most."""
    yield SimpleNamespace(name=settings.model, languages=frozenset(), admits=True)


class HollowSession:
    """A stream that cannot say what it has decided, and fails to say whether it is full."""

    is_settled, is_attentive, detected = True, False, None
    serve = hear = end_utterance = end = is_stalled = print

    @property
    def is_full(self) -> bool:
        """Raises."""
        raise KeyError("canary words")


@asynccontextmanager
async def shallow(settings: Settings) -> AsyncIterator[SimpleNamespace]:
    """A streaming engine whose sessions lack something."""
    made = SimpleNamespace(name="shallow", languages=frozenset(), admits=True, is_up=True)
    made.session = lambda *_: HollowSession()
    yield made


def _note_try(path: Path) -> None:
    with path.with_suffix(".tries").open("a", encoding="utf-8") as tries:
        tries.write(f"{os.getpid()}\n")
