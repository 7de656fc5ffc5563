"""Transcribers in order of preference, on a clock of our own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.links.transcriber.servers import (
    CREDIBLE_LIMIT_S,
    MAX_PATIENCE_S,
    MAX_PROBE_S,
    MIN_BACKOFF_S,
    MIN_PROBE_S,
    ROLL_OVER_SHARE,
    Choice,
    Servers,
)

GPU, CPU, FAR = "ws://gpu", "ws://cpu", "ws://far"


def test_the_first_that_works_is_used() -> None:
    """A failure makes a server doubtful: the next in order takes over at once."""
    servers = Servers((GPU, CPU, FAR))
    assert servers.urls == (GPU, CPU, FAR)
    assert servers.choose(0) == Choice(GPU, 0)
    servers.failed(GPU, 0, 1)
    assert servers.choose(0) == Choice(CPU, 0)
    servers.failed(CPU, 0, 1)
    assert servers.choose(0) == Choice(FAR, 0)


def test_where_all_have_failed_the_one_whose_pause_ends_first_is_tried() -> None:
    """So they take turns, and none is asked without a pause."""
    servers = Servers((GPU, CPU))
    servers.failed(GPU, 0, 1)
    before = servers.are_doubtful
    servers.failed(CPU, 0, 0.5)
    assert (before, servers.are_doubtful) == (False, True)
    assert servers.choose(0) == Choice(CPU, MIN_BACKOFF_S / 2)
    servers.failed(CPU, 0.05, 1)
    assert servers.choose(0.05) == Choice(GPU, MIN_BACKOFF_S - 0.05)
    assert servers.choose(9) == Choice(GPU, 0)


def test_pauses_grow_with_failures_and_are_reset_by_progress_alone() -> None:
    """A greeting makes a server worth a try, and the pause after its next failure is longer still."""
    servers = Servers((GPU,), last_backoff=1.0)
    waits = []
    for _ in range(6):
        servers.failed(GPU, 0, 1)
        waits.append(servers.choose(0).wait)
        servers.greeted(GPU, 0)
        assert servers.choose(0).wait == 0
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    servers.progressed(GPU, 1, None)
    servers.failed(GPU, 0, 1)
    assert servers.choose(0).wait == MIN_BACKOFF_S


def test_progress_of_older_connections_does_not_disprove_a_failure() -> None:
    """A full server goes on with those that it has: the lane that it turned away must not come back all the time."""
    servers = Servers((GPU, CPU))
    servers.failed(GPU, 10, 1)
    servers.progressed(GPU, 9.9, 0.5)
    assert servers.choose(100).url == CPU
    assert not servers.is_outdone(CPU)
    servers.progressed(GPU, 10, 0.5)
    assert servers.choose(100).url == GPU


def test_a_server_that_is_back_outdoes_those_after_it() -> None:
    """Lanes on a later one may go back; lanes on the first have nowhere better to go."""
    servers = Servers((GPU, CPU))
    assert not servers.is_alone(GPU)
    servers.failed(GPU, 0, 1)
    assert servers.is_alone(CPU)
    assert not servers.is_outdone(CPU)
    servers.greeted(GPU, 0)
    assert servers.is_outdone(CPU)
    assert not servers.is_outdone(GPU)


def test_doubtful_servers_are_probed_while_another_works() -> None:
    """At growing distances, the soonest first; where all have failed lanes try them anyway."""
    servers = Servers((GPU, CPU, FAR))
    assert servers.probe(0) is None
    servers.failed(GPU, 0, 1)
    assert servers.probe(0) == Choice(GPU, MIN_PROBE_S)
    assert servers.probe(MIN_PROBE_S) == Choice(GPU, 0)
    servers.failed(GPU, 0, 0)
    assert servers.probe(0) == Choice(GPU, MIN_PROBE_S)  # half of twice as much
    servers.failed(CPU, 0, 0)
    assert servers.probe(0) == Choice(CPU, MIN_PROBE_S / 2)
    for _ in range(40):
        servers.failed(GPU, 0, 1)
    servers.greeted(CPU, 0)
    assert servers.probe(0) == Choice(GPU, MAX_PROBE_S)
    servers.failed(CPU, 0, 1)
    servers.failed(FAR, 0, 1)
    assert servers.probe(0) is None


def test_patience_grows_with_a_servers_lag_and_with_waits_in_vain() -> None:
    """A lag that rises is believed at once, one that falls by and by; an answer ends the doubling; all is bounded."""
    servers = Servers((GPU, CPU))
    servers.failed(CPU, 0, 1)
    assert servers.patience(GPU, 8) == 8
    servers.progressed(GPU, 1, 5)
    assert servers.patience(GPU, 8) == 8 + 5
    servers.progressed(GPU, 1, None)
    servers.progressed(GPU, 1, 0)
    assert servers.patience(GPU, 8) == 8 + 4
    assert servers.patience(CPU, 8) == 8
    servers.failed(GPU, 0, 1, mute=True)
    assert servers.patience(GPU, 8) == 2 * (8 + 4)
    servers.progressed(GPU, 1, 4)
    assert servers.patience(GPU, 8) == 8 + 4
    for _ in range(100):
        servers.failed(GPU, 0, 1, mute=True)
    assert servers.patience(GPU, 8) == MAX_PATIENCE_S


def test_patience_with_a_mute_server_does_not_grow_where_another_could_answer() -> None:
    """What is said meanwhile would fall out of the replay buffer for nothing."""
    servers = Servers((GPU, CPU))
    servers.failed(GPU, 0, 1, mute=True)
    assert servers.patience(GPU, 8) == 8
    servers.failed(CPU, 0, 1)
    assert servers.patience(GPU, 8) == 16


def test_a_server_that_was_mute_and_greets_is_tried_by_one_lane() -> None:
    """The others stay where they are answered, until it has decided about something."""
    servers = Servers((GPU, CPU))
    servers.failed(GPU, 0, 1, mute=True)
    assert not servers.is_outdone(CPU, 1)
    servers.greeted(GPU, 5)
    assert servers.probe(5) == Choice(GPU, MAX_PROBE_S)
    assert servers.choose(5).url == CPU  # a visitor is no lane
    assert servers.is_outdone(CPU, 1)
    assert not servers.is_outdone(CPU, 2)
    assert (servers.choose(5, 2).url, servers.choose(5, 1).url) == (CPU, GPU)
    servers.greeted(GPU, 70)  # lane 1 has found out nothing
    assert (servers.choose(70, 2).url, servers.choose(70, 1).url) == (GPU, CPU)
    servers.failed(GPU, 80, 1, mute=True)
    assert (servers.choose(80, 2).url, servers.choose(80, 1).url) == (CPU, CPU)
    servers.greeted(GPU, 90)
    servers.progressed(GPU, 95, None)
    assert (servers.choose(96, 2).url, servers.choose(96, 1).url) == (GPU, GPU)
    assert servers.probe(96) is None


def test_a_time_limit_is_configured_or_learnt() -> None:
    """The shortest one that was seen counts, and is used up to a share of it."""
    servers = Servers((GPU, CPU), longest=600)
    assert servers.time_limit(GPU) == 600 * ROLL_OVER_SHARE
    servers.dismissed(GPU, 300, 300)
    servers.dismissed(GPU, 700, 400)
    assert servers.time_limit(GPU) == 300 * ROLL_OVER_SHARE
    assert servers.time_limit(CPU) == 600 * ROLL_OVER_SHARE
    learning = Servers((GPU,))
    assert learning.time_limit(GPU) is None
    learning.dismissed(GPU, 100, CREDIBLE_LIMIT_S)
    assert learning.time_limit(GPU) == CREDIBLE_LIMIT_S * ROLL_OVER_SHARE


def test_a_short_limit_is_believed_of_two_connections_that_followed_each_other() -> None:
    """A restart ends young connections, too, all at once: one such goodbye, or several at a time, say nothing."""
    servers = Servers((GPU,))
    servers.dismissed(GPU, 6, 6)
    servers.dismissed(GPU, 6, 6)
    servers.dismissed(GPU, 7, 5.9)  # began before the first was ended
    assert servers.time_limit(GPU) is None
    servers.dismissed(GPU, 30, 20)
    assert servers.time_limit(GPU) is None
    servers.dismissed(GPU, 51, 20.5)
    assert servers.time_limit(GPU) == 20.5 * ROLL_OVER_SHARE


EVENTS = st.lists(st.tuples(st.sampled_from([GPU, CPU, FAR]), st.sampled_from("fmgpd"), st.floats(0, 1)), max_size=60)


@given(EVENTS)
def test_whatever_happens_there_is_a_server_to_try_soon(events: list[tuple[str, str, float]]) -> None:
    """A choice within the longest pause, never one in doubt beside one that is not; a probe only of one in doubt."""
    servers, doubtful, mute, on_trial = Servers((GPU, CPU, FAR), last_backoff=2.0), set(), set(), set()
    for now, (url, what, chance) in enumerate(events):
        match what:
            case "f" | "m":
                servers.failed(url, now, chance, mute=what == "m")
                doubtful.add(url)
                on_trial.discard(url)
                mute |= {url} if what == "m" else set()
            case "g":
                servers.greeted(url, now)
                if url in mute:
                    on_trial.add(url)
                else:
                    doubtful.discard(url)
            case "p":
                servers.progressed(url, now, chance)
                for known in (doubtful, mute, on_trial):
                    known.discard(url)
            case _:
                servers.dismissed(url, now, chance)
        choice, probe, tester = servers.choose(now), servers.probe(now), servers.choose(now, 1)
        assert 0 <= choice.wait <= 2.0
        assert (choice.url in doubtful) == (len(doubtful) == 3)
        assert tester.url in on_trial or tester == choice
        assert (probe is not None) == (0 < len(doubtful) < 3)
        assert probe is None or (probe.url in doubtful and probe.wait <= MAX_PROBE_S)


def test_it_is_known_whether_any_has_ever_answered() -> None:
    """A decision counts, for ever; greetings do not."""
    servers, answered = Servers((GPU, CPU)), []
    servers.greeted(GPU, 0)
    answered.append(servers.have_answered)
    servers.progressed(CPU, 1, None)
    servers.failed(CPU, 2, 1)
    assert [*answered, servers.have_answered] == [False, True]
