"""Stands in for SciPy: whisper-live imports it and uses nothing of it."""
