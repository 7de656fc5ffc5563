"""Language codes, as configurations, commands and transcribers spell them."""

from __future__ import annotations

import re


def is_language(text: str) -> bool:
    """Whether it has the form of a code such as `en` or `yue`; which ones a model knows is for the model to say."""
    return re.fullmatch(r"[a-z]{2,3}", text) is not None
