"""`python -m transcriber` is `earshot-transcriber`."""

from __future__ import annotations

from transcriber.cli import main

main()
