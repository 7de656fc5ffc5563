"""The transcribers of one bot as a list of preference: which one to try next, when, and what was learnt of each.

One for all lanes. The first server that works is used. One that fails is doubtful and the next in order takes over;
a probe looks after the doubtful ones, and when one greets again, lanes go back to it between utterances. Its pauses
grow with failures and are short again after *progress* (a decision): a greeting proves nothing. A server that was mute
greets well; one lane tries it then, and the others follow when it has decided about something.

Pure: `now` and `chance` (uniform in [0, 1): jitter) are arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

MIN_BACKOFF_S = 0.1
"""Longest pause after a first failure, seconds; it doubles with each one more, up to the limit that is set."""
MIN_PROBE_S, MAX_PROBE_S = 1.0, 60.0
"""Pause between probes of a server that is doubtful while another one works, seconds; doubles with its failures."""
LAG_SMOOTHING = 0.2
"""How fast a lag that has become smaller is believed; one that has become larger is at once."""
MAX_PATIENCE_S = 120.0
"""The longest wait for an answer, whatever was learnt: twice what the replay buffer holds."""
ROLL_OVER_SHARE = 0.8
"""Share of a known time limit after which the first pause is used for a new connection."""
CREDIBLE_LIMIT_S = 60.0
"""A connection of so many seconds that is ended in order has met a limit; a younger one may have met a restart, ..."""
AGREEING_SHARE = 0.9
"""... until the connection after it is ended at the same age, within this share."""


@dataclass(slots=True)
class _Server:
    url: str
    longest: float | None
    """Seconds after which it ends a connection."""
    dismissal: tuple[float, float] | None = None
    """The last one that says something of a limit: when it came, and how old the connection was."""
    failures: int = 0
    """In a row, with no decision between."""
    failed_at: float = float("-inf")
    retry_at: float = 0.0
    probe_at: float = 0.0
    is_doubtful: bool = False
    """It failed, and neither a decision nor a probe has said since that it works."""
    mutes: int = 0
    """Times in a row that speech got no answer."""
    is_on_trial: bool = False
    """It was mute and has greeted since: one lane may try it, though it is doubtful."""
    tester: int | None = None
    """That lane; None: whoever comes first."""
    lag: float = 0.0
    """Seconds that its answers take lately."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to try next."""

    url: str
    wait: float
    """Seconds to wait before."""


class Servers:
    """What is known of the transcribers.

    Args:
        urls: In order of preference, at least one.
        last_backoff: Longest pause between tries, seconds.
        longest: Seconds after which servers are known to end a connection; None: learnt when one does.
    """

    def __init__(self, urls: Sequence[str], last_backoff: float = 2.0, longest: float | None = None) -> None:
        self._servers = {url: _Server(url, longest) for url in urls}
        self._last_backoff = last_backoff
        self.have_answered = False
        """Any of them has decided about something, ever."""

    @property
    def urls(self) -> tuple[str, ...]:
        """In order of preference."""
        return tuple(self._servers)

    def choose(self, now: float, lane: int | None = None) -> Choice:
        """The first that is not doubtful, or that this lane may try; without one, that whose pause ends first."""
        for server in self._servers.values():
            if not server.is_doubtful or _claimed(server, lane):
                return Choice(server.url, 0.0)
        soonest = min(self._servers.values(), key=lambda server: server.retry_at)
        return Choice(soonest.url, max(soonest.retry_at - now, 0.0))

    def failed(self, url: str, now: float, chance: float, *, mute: bool = False) -> None:
        """A try or a connection failed; `mute`: it took speech and did not answer."""
        server = self._servers[url]
        server.failures += 1
        server.mutes += mute
        server.is_doubtful, server.is_on_trial = True, False
        server.failed_at = now
        exponent = min(server.failures - 1, 30)
        server.retry_at = now + chance * min(MIN_BACKOFF_S * 2**exponent, self._last_backoff)
        server.probe_at = now + (1 + chance) / 2 * min(MIN_PROBE_S * 2**exponent, MAX_PROBE_S)

    def progressed(self, url: str, since: float, lag: float | None) -> None:
        """It decided about something on a connection that began at `since`; `lag`: seconds after it was told the end of
        it, if it was. A connection that is older than the last failure does not disprove it: the server may be full.
        """
        self.have_answered = True
        server = self._servers[url]
        if since >= server.failed_at:
            server.failures = server.mutes = 0
            server.is_doubtful = server.is_on_trial = False
        if lag is not None:
            server.lag = lag if lag > server.lag else server.lag + LAG_SMOOTHING * (lag - server.lag)

    def greeted(self, url: str, now: float) -> None:
        """A probe found that it takes audio: worth a try before those that come after it. If it was mute, by one lane;
        should that find out nothing, another one may try it after the next probe.
        """
        server = self._servers[url]
        if server.mutes:
            server.is_on_trial, server.tester = True, None
            server.probe_at = now + MAX_PROBE_S
        else:
            server.is_doubtful = False

    def dismissed(self, url: str, now: float, after: float) -> None:
        """It ended a connection that had worked, `after` seconds from its start: as servers with a time limit do, and
        others that are shut down in order.
        """
        server = self._servers[url]
        before = server.dismissal
        if before and now - after < before[0]:
            return  # of the same time as the last one: one shutdown ends all connections
        server.dismissal = now, after
        agrees = before is not None and min(before[1], after) >= AGREEING_SHARE * max(before[1], after)
        if after >= CREDIBLE_LIMIT_S or agrees:
            server.longest = after if server.longest is None else min(server.longest, after)

    def is_outdone(self, url: str, lane: int | None = None) -> bool:
        """A server that is preferred to this one can be tried again, by this lane."""
        preferred = takewhile(lambda server: server.url != url, self._servers.values())
        return any(not server.is_doubtful or _claimed(server, lane) for server in preferred)

    @property
    def are_doubtful(self) -> bool:
        """There is none that is not."""
        return all(server.is_doubtful for server in self._servers.values())

    def is_alone(self, url: str) -> bool:
        """There is no other server that is not doubtful."""
        return all(server.is_doubtful or server.url == url for server in self._servers.values())

    def time_limit(self, url: str) -> float | None:
        """Seconds from the start of a connection after which its next pause should be used for a new one."""
        longest = self._servers[url].longest
        return None if longest is None else ROLL_OVER_SHARE * longest

    def patience(self, url: str, least: float) -> float:
        """Seconds to wait for an answer, `least` of a server that is quick; more after each wait in vain, unless
        another server could have answered meanwhile.
        """
        server = self._servers[url]
        doublings = min(server.mutes, 10) if self.is_alone(url) else 0
        return min((least + server.lag) * 2.0**doublings, max(MAX_PATIENCE_S, least))

    def probe(self, now: float) -> Choice | None:
        """The doubtful server to look after next while another one works; None: there is none."""
        doubtful = [server for server in self._servers.values() if server.is_doubtful]
        if not doubtful or self.are_doubtful:
            return None  # where all are doubtful, lanes try them anyway
        soonest = min(doubtful, key=lambda server: server.probe_at)
        return Choice(soonest.url, max(soonest.probe_at - now, 0.0))


def _claimed(server: _Server, lane: int | None) -> bool:
    """The server is on trial, and this lane is the one to try it: it is from now on if nobody was."""
    if not server.is_on_trial or lane is None or server.tester not in (None, lane):
        return False
    server.tester = lane
    return True
