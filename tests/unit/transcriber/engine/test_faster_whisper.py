"""What is taken of a decoder's tokens, without a model."""

from __future__ import annotations

from transcriber.engine.faster_whisper import heard_tokens


def test_text_that_begins_where_the_audio_has_ended_is_cut() -> None:
    """By the model's time tokens; never the first piece, however short the audio is."""
    eot, begin = 50, 100
    first, second = [begin, 1, 2, begin + 350], [begin + 350, 3, begin + 500, eot]
    assert heard_tokens([*first, *second], eot, begin, 7.2) == [1, 2]
    assert heard_tokens([*first, *second], eot, begin, 7.4) == [1, 2, 3]
    assert heard_tokens(second, eot, begin, 7.2) == [3]
    assert heard_tokens([1, 2, eot], eot, begin, 0.02) == [1, 2]
