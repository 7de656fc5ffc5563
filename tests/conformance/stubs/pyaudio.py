"""Stands in for PyAudio on a machine without a sound card, which the stock client is prepared for."""

from __future__ import annotations

from typing import NoReturn

paInt16 = 8


class PyAudio:
    """Opens nothing."""

    def open(self, **options: object) -> NoReturn:
        """Raises OSError, as PortAudio does without a device."""
        raise OSError("No Default Input Device Available")
