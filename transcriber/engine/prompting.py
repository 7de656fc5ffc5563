"""Prompting: what a Whisper model is told about a window, in its own tokens.

Names and terms to expect stand before the transcript; what was said just before is its beginning.
"""

from __future__ import annotations

from typing import Any

from transcriber.core.windows import Window

MAX_PROMPT_TOKENS = 100


class Prompting:
    """The tokenizers of a model, one per language and task.

    Args:
        whisper: faster-whisper's model.
    """

    def __init__(self, whisper: Any) -> None:
        self._vocabulary = whisper.hf_tokenizer
        self.is_multilingual: bool = whisper.model.is_multilingual
        self._tokenizers: dict[tuple[str, str], Any] = {}

    def tokenizer(self, language: str = "en", task: str = "transcribe") -> Any:
        """For that; the tokens of a text are the same in every language."""
        from faster_whisper.tokenizer import Tokenizer

        key = (language, task)
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(self._vocabulary, self.is_multilingual, task=task, language=language)
        return self._tokenizers[key]

    def prompt(self, window: Window) -> list[int]:
        """What stands before the start of the transcript."""
        if not window.prompt:
            return []
        return [self.tokenizer().sot_prev, *self._tokens(window.prompt.strip())[-MAX_PROMPT_TOKENS:]]

    def told(self, window: Window) -> list[int]:
        """The text of what was said before the window, unless it is spelled in more tokens than are worth reading."""
        text = self._tokens(window.before.text) if window.before else []
        return text if len(text) <= MAX_PROMPT_TOKENS else []

    def _tokens(self, text: str) -> list[int]:
        """Special tokens that the text spells out are not taken for such."""
        tokenizer = self.tokenizer()
        return [token for token in tokenizer.encode(" " + text) if token < tokenizer.eot]
