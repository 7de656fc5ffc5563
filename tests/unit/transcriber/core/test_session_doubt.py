"""Sound that may be speech: a stream decodes it before it is decided."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from hypothesis import example, given
from hypothesis import strategies as st

from common.whisperlive.protocol import EXTENSIONS
from tests.support.servers.served import HELLO, SECOND, loud, murmur, silence, speech
from transcriber.core.session import StreamSession
from transcriber.core.windows import Hypothesis


def listen(session: StreamSession, at: int, *pieces: npt.NDArray[np.int16]) -> int:
    """Feeds pieces one after the other; returns the next sample."""
    for piece in pieces:
        session.hear(at, piece, now=at / SECOND)
        at += len(piece)
    return at


def test_a_doubtful_end_is_decoded_before_it_is_decided() -> None:
    """A pause was decoded as the final; then somebody murmurs on, too softly to begin anything: that is heard, too."""
    for extensions in (frozenset(), EXTENSIONS):
        session = StreamSession(HELLO, loud, extensions)
        at = listen(session, 0, speech(1), silence(0.25))
        eager = session.begin()
        session.finish(eager, Hypothesis("and yes"))
        at = listen(session, at, murmur(1.5), silence(1))
        session.end_utterance(at, now=4) if extensions else None
        final = session.begin()
        assert final.work.end > eager.work.end + 1.5 * SECOND
        assert session.finish(final, Hypothesis("and yes i do"))[-1].text == " and yes i do"


SOUNDS = st.lists(
    st.tuples(st.sampled_from([speech, murmur, silence]), st.integers(1, 30), st.booleans()), min_size=1, max_size=14
)


@example([(speech, 30, False), (silence, 13, False), (murmur, 30, True)])
@given(SOUNDS)
def test_all_doubtful_sound_after_speech_is_decoded_before_it_is_acknowledged(
    sounds: list[tuple[Callable[[float], npt.NDArray[np.int16]], int, bool]],
) -> None:
    """Until the client says that the utterance is over, whatever the pauses: its gate may bridge longer ones."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    at, heard, owed, begun = 0, 0, 0, 0
    for sound, frames, ends in [*sounds, (silence, 1, True)]:
        for frame in np.split(sound(frames * 0.032), frames):
            session.hear(at, frame, now=at / SECOND)
            at += len(frame)
            begun += (sound is speech or begun > 0) and sound is not silence
            owed = at if begun >= 2 and sound is not silence else owed
            heard = max([heard, *decoded_until(session)])
        if ends:
            session.end_utterance(at, now=at / SECOND)
            heard = max([heard, *decoded_until(session)])
            assert session.decided == at
            assert heard >= owed
            begun = 0


def decoded_until(session: StreamSession) -> list[int]:
    """Decodes all that is due; where the careful passes ended."""
    ends = []
    while session.next_request():
        job = session.begin()
        session.finish(job, Hypothesis("yes"))
        ends += [job.work.end] if job.work.kind.is_careful else []
    session.release()
    return ends
