"""A package, so that it is found before the `tests` that some wheels bring along (whisper-live does)."""
