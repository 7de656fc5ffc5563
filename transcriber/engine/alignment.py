"""Alignment: when the words of decoded windows are said, by the heads of a Whisper model that know it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import structlog

from transcriber.core.windows import Word
from transcriber.engine.batches import BatchItem

ENCODER_POSITIONS_PER_S = 50
"""Encoder outputs per second of audio."""

log = structlog.get_logger(__name__)


class Aligner:
    """Aligns what a model has decoded, with what it has encoded for that.

    Args:
        whisper: faster-whisper's model.
    """

    def __init__(self, whisper: Any) -> None:
        import ctranslate2

        self._whisper = whisper
        self._storage = ctranslate2.StorageView.from_array
        self._host = ctranslate2.Device.cpu
        self.works = True
        """It can; until `look` has found out otherwise."""

    def look(self, features: Any, tokenizer: Any) -> None:
        """Tries it: not every conversion of a model says which of its heads know when a word is heard."""
        model = self._whisper.model
        try:
            model.align(model.encode(features), tokenizer.sot_sequence, [tokenizer.encode(" a")], features.shape[2])
        except (RuntimeError, ValueError) as error:
            self.works = False
            log.warning(
                "model.no_word_times",
                problem=str(error),
                consequence="words have no times, and passes under load begin at the start of each utterance",
                remedy="convert the model anew with its generation_config.json, which has the alignment_heads",
            )

    def align(self, group: Sequence[BatchItem], encoded: Any) -> None:
        """Finds the times of the words where they are wanted: one pass per language and task, nothing encoded again."""
        starts: dict[tuple[int, ...], list[int]] = {}
        for place, item in enumerate(group):
            if self.works and (item.window.words or item.told) and item.tokens:
                starts.setdefault(tuple(item.tokenizer.sot_sequence), []).append(place)
        for start, places in starts.items():
            items = [group[place] for place in places]
            aligned = self._whisper.model.align(
                self._rows(encoded, places),
                list(start),
                [item.told + item.tokens for item in items],
                [item.frames for item in items],
            )
            for item, alignment in zip(items, aligned, strict=True):
                words = timed(item.tokenizer, item.tokens, alignment, len(item.told), item.offset)
                item.words = tuple(itertools.dropwhile(_is_before, words)) if item.told else words

    def _rows(self, encoded: Any, places: Sequence[int]) -> Any:
        """The encoder outputs of some items; all of them are not copied."""
        if len(places) == encoded.shape[0]:
            return encoded
        return self._storage(np.array(encoded.to_device(self._host))[list(places)])


def timed(tokenizer: Any, tokens: list[int], alignment: Any, told: int = 0, offset: float = 0.0) -> tuple[Word, ...]:
    """The words that tokens make, each from where its first token is heard to where the next word's is; `told` tokens
    and `offset` seconds before them do not count."""
    texts, parts = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
    rows, positions = np.array(alignment.alignments).T
    heard = np.maximum(0.0, positions[np.diff(rows, prepend=-1) > 0] / ENCODER_POSITIONS_PER_S - offset)
    edges = told + np.cumsum([0, *map(len, parts[:-1])])
    return tuple(
        Word(text, float(heard[first]), float(heard[last]), float(np.mean(alignment.text_token_probs[first:last])))
        for text, first, last in zip(texts, edges, edges[1:], strict=False)
        if text.strip()
    )


def _is_before(word: Word) -> bool:
    return word.end <= 0
