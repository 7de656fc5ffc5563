"""Files for the bot's user alone: sessions, and what a page looked like."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Writes the file, in place of what is in it; nobody else can read it at any moment. Raises OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as written:
        os.fchmod(file, 0o600)  # it was there before, with another mode
        written.write(content)
