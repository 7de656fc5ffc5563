"""Stands in for FastAPI: whisper-live's server imports it for its REST interface, which stays off here."""

from __future__ import annotations


class FastAPI:
    """A name to import."""


class UploadFile:
    """A name to import."""


class Form:
    """A name to import."""


class Request:
    """A name to import."""


class File:
    """A name to import."""
