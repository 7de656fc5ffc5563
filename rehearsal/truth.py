"""The truth file: rows of what was really said, one JSON object per line, each on disk as soon as it is known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Self

from common.problems import ConfigError, Problem, reason, shown
from rehearsal.microphone import Truth


class TruthFile:
    """A file that is open until the block ends.

    Args:
        path: As given with `--truth`; None: rows go nowhere.

    Raises:
        ConfigError: It cannot be opened, or later not be written.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        try:
            self._file = open(path, "w", encoding="utf-8") if path else None  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            raise self._failure(error) from None

    def write(self, rows: Iterable[Truth]) -> None:
        """Adds rows."""
        if self._file is None:
            return
        try:
            self._file.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> ConfigError:
        return ConfigError(
            [Problem("--truth", shown(self._path), f"path of a file that can be written ({reason(error)})")]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with suppress(OSError):  # what could not be written has been said
                self._file.close()
