"""Our bot's audio plane against the unmodified PyPI server (whisper-live 0.10.0), without any of our extensions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.support.conformance import pieces_of, said, speech
from tests.support.ears import Ears

pytestmark = [pytest.mark.model, pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(90)]
TALKS = {"ana": ["ana1", "ana1", "ana4", "ana8"], "ben": ["ben4", "ben5", "ben2", "ben2"]}
"""Sentences said twice: a stock server never completes the second. Ben's are the last words of the meeting."""
PAUSE_S = 0.7
"""Between them."""


@pytest.fixture(autouse=True)
def no_text_is_nobodys() -> Iterator[None]:
    """Of all that the server says."""
    with capture_logs() as lines:
        yield
    assert "transcriber.stray_text" not in [line["event"] for line in lines]


def check(ears: Ears, talks: dict[str, list[str]]) -> None:
    """Nothing lost, doubled, taken back or given to somebody else: each word in its sentence, where it was said."""
    for name, clips in talks.items():
        finals = [(final.start - ears.began, final.end - ears.began, final.text) for final in ears.finals(name)]
        assert pieces_of(clips, PAUSE_S, finals) == said(clips)
    assert {segment.speaker for segment in ears.published} == talks.keys()
    ears.check_ids()
    assert all(segment.text for segment in ears.published)
    assert ears.lost_links == []


async def test_the_stock_server_gives_our_bot_every_word_once(stock_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two speakers at once have a lane each: nothing lost, doubled, taken back or mixed, and everything is decided."""
    # That server may be more than our usual seven seconds behind when others have the cores: what it says then is lost.
    monkeypatch.setattr("bot.links.transcriber.conversation.STOCK_DECISION_TIMEOUT_S", 25.0)
    ears = Ears(f"ws://127.0.0.1:{stock_port}", lanesMax=3)
    await ears.hear({name: speech(clips, PAUSE_S) for name, clips in TALKS.items()})
    assert await ears.finish(60) == 0.0  # on a busy machine that server is seconds behind
    check(ears, TALKS)
    assert ears.lanes == 2


async def test_on_a_stock_server_a_second_speaker_waits_for_a_connection_of_their_own(
    stock_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one lane at most, speakers never share a connection: who waits is sent later, whole, and it is said."""
    monkeypatch.setattr("bot.links.transcriber.conversation.STOCK_DECISION_TIMEOUT_S", 25.0)
    talks = {"ana": ["ana1"], "ben": ["ben4"]}
    ears = Ears(f"ws://127.0.0.1:{stock_port}", lanesMax=1)
    await ears.hear({name: speech(clips, PAUSE_S) for name, clips in talks.items()})
    assert await ears.finish(60) == 0.0
    check(ears, talks)
    assert ears.lanes == 2
