"""A file for what memory has no room for while Redis is away: first in, first out, gone with the process."""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path

MAX_SPILL_BYTES = 500_000_000
_HEAD = struct.Struct("<dI")  # when it was put in, monotonic seconds; bytes of the payload


class Spill:
    """Payloads in a file without a name: nobody else can open it, and nothing of it outlives the process.

    Bound: `max_bytes` written since it was last empty. Policy when full: the new payload is refused.

    Args:
        folder: Where the file is; in RAM (tmpfs) it would save nothing.
        max_bytes: Bound in bytes.

    Raises:
        OSError: No file can be made there.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_SPILL_BYTES) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (it lives as long as we)
        self._max_bytes = max_bytes
        self._read_at = self._written = self._entries = 0
        self.problem = ""
        """Why the last payload was refused, for people; empty: it was not."""

    def __len__(self) -> int:
        return self._entries

    def put(self, payload: str, now: float) -> bool:
        """Takes a payload in; False when it was refused: the file is full, or the disk."""
        data = payload.encode()
        record = _HEAD.pack(now, len(data)) + data
        if self._written + len(record) > self._max_bytes:
            self.problem = f"its spill file has its {self._max_bytes:,} bytes"
            return False
        try:
            done = os.pwrite(self._file.fileno(), record, self._written)
        except OSError as error:
            self.problem = f"its spill file cannot be written: {error.strerror}"
            return False
        if done < len(record):  # what is there of it is written over by the next
            self.problem = "its spill file cannot be written: no space left"
            return False
        self.problem = ""
        self._written += len(record)
        self._entries += 1
        return True

    def take(self) -> tuple[str, float]:
        """The oldest payload and when it was put in; it leaves the file. Raises IndexError when there is none."""
        if not self._entries:
            raise IndexError("the spill file is empty")
        since, length = _HEAD.unpack(os.pread(self._file.fileno(), _HEAD.size, self._read_at))
        data = os.pread(self._file.fileno(), length, self._read_at + _HEAD.size)
        self._read_at += _HEAD.size + length
        self._entries -= 1
        if not self._entries:
            self._read_at = self._written = 0
            os.ftruncate(self._file.fileno(), 0)
        return data.decode(), since

    def close(self) -> None:
        """Gives the file back."""
        self._file.close()
