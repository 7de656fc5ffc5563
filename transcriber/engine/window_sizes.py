"""Window sizes of a model: how short its encoder inputs may be, as measured, and the full window where nobody has.

Whisper was trained on 30 s, and the encoder's cost grows faster than its input. How much shorter it may be is a
property of the weights: the demo model was trained on 6 s; Whisper base loops in short windows when speech nearly fills
them. What was measured is in WINDOW_SIZES_FILE in the model's folder, or ships with this package under the fingerprint
of the weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transcriber.engine.base import ModelError

FULL_WINDOW_FRAMES = 3000
"""What Whisper was trained on, and the most that it takes: 30 s in frames of 10 ms."""
WINDOW_SIZES_FILE = "window_sizes.json"
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
    careful: int = FULL_WINDOW_FRAMES
    """A final's is."""
    margin: int = 0
    """Padding that follows the speech at least, where the window is not full: speech that nearly fills it loops."""
    padding: float | None = None
    """The log-mel value of the padding; None: what silence is in that window."""
    packed: int = FULL_WINDOW_FRAMES
    """The audio of a recording's window, which has several sentences, is at most this long."""


FULL_WINDOWS = WindowSizes()


def find(folder: Path) -> WindowSizes | None:
    """What was measured for the model in this folder; None: nothing. Raises ModelError for a file that is wrong."""
    name = f"{fingerprint(folder)}.json"
    places = (folder / WINDOW_SIZES_FILE, SHIPPED_FOLDER / name)
    return next((read(path) for path in places if path.is_file()), None)


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
        value = content.get(key, FULL_WINDOW_FRAMES if name == "packed" else None)
        if type(value) is not int or not 0 <= value <= FULL_WINDOW_FRAMES:
            raise ValueError(f"{key} is a number of frames from 0 to {FULL_WINDOW_FRAMES}")
        sizes[name] = value
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
