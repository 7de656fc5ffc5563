"""Window sizes of a model: how short its encoder inputs may be, as measured, and the full window where nobody has.

Whisper was trained on 30 s, and the encoder's cost grows faster than its input. How much shorter it may be is a
property of the weights: the demo model was trained on 6 s; Whisper base loops in short windows when speech nearly fills
them. What was measured is in WINDOW_SIZES_FILE in the model's folder; or, under the fingerprint of the weights, in the
cache of the user who measured it where that folder is not writable, or among what ships with this package.

Nor are all languages a model's alike: Whisper base gets no more English wrong in half a window, and more German. Finals
have the full one in a language that nobody measured.

What is cheapest is a property of the device, too: each has files of its own. A GPU gains little by shorter windows, and
has full ones until somebody has measured there; what the model was trained on, `packed` and `padding`, holds on all.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.contracts.languages import LANGUAGE_NAMES, language_code
from common.problems import reason
from transcriber.engine.base import ModelError

FULL_WINDOW_FRAMES = 3000
"""What Whisper was trained on, and the most that it takes: 30 s in frames of 10 ms."""
LEAST_WINDOW_FRAMES = 100
"""Less is no window that anybody has measured: seconds, perhaps, where frames are wanted."""
CPU, CUDA = "cpu", "cuda"
WINDOW_SIZES_FILE = "window_sizes.json"
"""Measured on a CPU; on another device that stands before the ending."""
SHIPPED_FOLDER = Path(__file__).parent.parent / "models" / "window_sizes"
FINGERPRINT_BYTES = 1 << 20
"""Read at both ends of the weights: the whole would take seconds for a large model."""
_SIZES = {
    "partial_frames": "partial", "careful_frames": "careful", "margin_frames": "margin", "packed_frames": "packed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WindowSizes:
    """Encoder inputs of one model. All are frames of 10 ms."""

    partial: int = FULL_WINDOW_FRAMES
    """A partial's input is at least this long."""
    careful: int | Mapping[str, int] = FULL_WINDOW_FRAMES
    """A final's is: in any language, or by its code, and full in one that is not there."""
    margin: int = 0
    """Padding that follows the speech at least, where the window is not full: speech that nearly fills it loops."""
    padding: float | None = None
    """The log-mel value of the padding; None: what silence is in that window."""
    packed: int = FULL_WINDOW_FRAMES
    """The audio of a recording's window, which has several sentences, is at most this long."""

    def finals(self, language: str | None, *, hurried: bool = False) -> int:
        """The least input of a final in a language. `hurried`, or None: the shortest of all, if it was not measured."""
        if isinstance(self.careful, int):
            return self.careful
        is_short = hurried or language is None
        shortest = min(self.careful.values(), default=FULL_WINDOW_FRAMES) if is_short else FULL_WINDOW_FRAMES
        return self.careful.get(language or "", shortest)


FULL_WINDOWS = WindowSizes()


def sizes_for(folder: Path, device: str) -> WindowSizes:
    """What a model gets on a device: what was measured there; else full windows, padded and packed as it was trained.
    Raises ModelError for a file that is wrong."""
    measured = find(folder, device)
    if measured or device == CPU:
        return measured or FULL_WINDOWS
    elsewhere = find(folder, CPU) or FULL_WINDOWS
    return replace(FULL_WINDOWS, padding=elsewhere.padding, packed=elsewhere.packed)


def find(folder: Path, device: str) -> WindowSizes | None:
    """What was measured on a device for the model in this folder; None: nothing. Raises ModelError for a file that is
    wrong."""
    name = file_name(fingerprint(folder), device)
    places = (folder / file_name(WINDOW_SIZES_FILE, device), cache_folder() / name, SHIPPED_FOLDER / name)
    return next((read(path) for path in places if os.path.isfile(path)), None)  # false also where one may not look


def place(folder: Path, device: str) -> Path:
    """Where what is measured on a device for the model in this folder is kept: there, or where one may not write, in
    the cache."""
    beside = folder / file_name(WINDOW_SIZES_FILE, device)
    if os.access(folder, os.W_OK) or beside.is_file():  # one that is there would be found before that in the cache
        return beside
    return cache_folder() / file_name(fingerprint(folder), device)


def file_name(stem: str, device: str) -> str:
    """Of what was measured on a device."""
    stem = stem.removesuffix(".json")
    return f"{stem}.json" if device == CPU else f"{stem}.{device}.json"


def cache_folder() -> Path:
    """Where results are kept for this user."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache) / "earshot" / "window_sizes"


def prepare(path: Path) -> Path:
    """Sees to it that a file can be written there later. Raises ModelError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "")
    except OSError as error:
        raise ModelError(f"{path} cannot be written: {reason(error)}. Name another place with --output.") from error
    return path


def write(path: Path, sizes: WindowSizes, measured: Mapping[str, Any]) -> None:
    """Writes a file, all of it or nothing: the sizes, and beside them what they were chosen by. Raises ModelError."""
    content: dict[str, Any] = {key: getattr(sizes, name) for key, name in _SIZES.items()}
    content |= {"padding": sizes.padding, "measured": measured}
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        half.replace(path)
    except OSError as error:
        raise ModelError(
            f"{path} could not be written: {reason(error)}. It would hold {json.dumps(content)}"
        ) from error


def read(path: Path) -> WindowSizes:
    """The sizes in a file. Raises ModelError."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        return parse(content)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} is wrong ({error}): mend it (docs/transcriber.md, Windows), or delete it: full windows are always "
            "right."
        ) from error


def parse(content: object) -> WindowSizes:
    """The sizes in a JSON object; what else it has is ignored. Raises ValueError."""
    if not isinstance(content, Mapping):
        raise ValueError("it is no object")
    sizes: dict[str, Any] = {}
    for key, name in _SIZES.items():
        sizes[name] = value = content.get(key, FULL_WINDOW_FRAMES if name == "packed" else None)
        is_by_language = name == "careful" and isinstance(value, Mapping)
        least = 0 if name == "margin" else LEAST_WINDOW_FRAMES
        for frames in value.values() if is_by_language else (value,):
            if type(frames) is not int or not least <= frames <= FULL_WINDOW_FRAMES:
                or_several = ", or one for each language" if name == "careful" else ""
                raise ValueError(
                    f"{key} is a number of frames of 10 ms from {least} to {FULL_WINDOW_FRAMES}{or_several}"
                )
        for language in value if is_by_language else ():
            if language not in LANGUAGE_NAMES:
                known = language_code(language) or "en or yue"
                raise ValueError(f"{key}: {language!r} is no code of Whisper's, such as {known}")
    padding = content.get("padding")
    if padding is not None and (type(padding) not in (int, float) or not -10 < padding < 10):
        raise ValueError("padding is a log-mel value, or null")
    return WindowSizes(**sizes, padding=padding)


def fingerprint(folder: Path) -> str:
    """Tells weights apart: a hash of the size and of both ends of model.bin."""
    path = folder / "model.bin"
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(FINGERPRINT_BYTES))
        file.seek(max(0, size - FINGERPRINT_BYTES))
        digest.update(file.read())
    return digest.hexdigest()[:16]
