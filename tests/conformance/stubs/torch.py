"""Stands in for PyTorch: whisper-live imports it to ask for a GPU."""

from __future__ import annotations


class cuda:
    """There is none."""

    @staticmethod
    def is_available() -> bool:
        """Whether a GPU can be used."""
        return False
