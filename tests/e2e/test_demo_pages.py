"""`earshot demo` on the page of a platform: real Chromium beside everything that the demo has."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.e2e.test_demo import figures, running
from tests.support.servers.pages import NO_CHROMIUM, NO_PLAYWRIGHT, find_chromium
from tests.support.tools import require

pytestmark = [
    *(pytest.mark.processes, pytest.mark.model, pytest.mark.redis, pytest.mark.browser, pytest.mark.slow),
    pytest.mark.timeout(180),
]


@pytest.mark.parametrize(("room", "utterances"), [("meet", 9), ("jitsi", 11)])
def test_the_demo_on_a_page(room: str, utterances: int) -> None:
    """A mix, and tracks of people: every utterance is there, no name is wrong, and the exit code is 0."""
    require(find_spec("playwright"), NO_PLAYWRIGHT)
    require(find_chromium(), NO_CHROMIUM)
    with running("--room", room) as demo:
        output, _ = demo.communicate(timeout=160)
    assert demo.returncode == 0, output
    seen = figures(output)
    assert seen["finals"] >= seen["utterances"] == utterances
    assert seen["wrong"] == 0
