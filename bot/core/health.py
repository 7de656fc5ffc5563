"""Hearing health: from the packets to the text every track is watched, and what is not heard is said within seconds.

An "active" bot can be deaf at each stage: nobody has a track, a track sends nothing, or digital zeros (a proxy or a
broken capture), there is no transcriber, or the transcriber takes speech and says nothing. Speech is not needed to be
healthy: a quiet room has a noise floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bot.core.effects import ReportHealth
from bot.core.events import MIX_TRACK, AudioHeard
from bot.core.unheeded import UnheededSpeech
from common.audio.pcm import SAMPLE_RATE
from common.contracts.health import ZEROS_DBFS, Hearing, TrackCounters

DEAF_TIMEOUT_S = 8.0
"""Seconds without any signal, or without any text for speech, until it is said. Reports come with each second of audio,
so 10 s in all are kept."""

SIGNAL_DBFS = -90.0
"""RMS level from which audio counts as signal. A microphone in the quietest room is above it; digital zeros that went
through Opus come out at about -112, one wrong bit in a hundred samples."""

WORDLESS_SAMPLES = 20 * SAMPLE_RATE
WORDLESS_WINDOW_S = 60.0
"""Samples of speech, sent within so many seconds, about which the transcriber decided again and again that there was
none, until that is said: noise may pass for speech, but not so much of it without one word."""

SHOWN_S = 4.0
"""Seconds in which the platform showed somebody as speaking and nothing at all was heard: proof that somebody did.
Pages show it up to two seconds longer than it is so."""
SHOWN_HOLDS_S = 1.0
"""Seconds for which one report of who speaks holds."""
UNSHOWN_TIMEOUT_S = 60.0
"""Where the platform shows who speaks, and has shown nobody yet, a silent mix is said after so long: it may be quiet,
or the page may have changed."""

ANSWERED_S = 1.5
"""A report so soon after an answer is about speech that was answered already: it looks back one second."""

WORDS = {
    Hearing.NO_TRACKS: "nobody has an audio track",
    Hearing.MUTED: "muted",
    Hearing.PAUSED: "paused by command",
    Hearing.NO_PACKETS: "no audio packets",
    Hearing.ZEROS: "digital silence: nothing but zeros",
    Hearing.ENCRYPTED: "end-to-end encrypted, and the bot has not its key",
    Hearing.NO_TRANSCRIBER: "no transcriber takes the audio",
    Hearing.NO_TEXT: "speech, and no text comes of it",
    Hearing.SILENT: "audio is heard",
    Hearing.OK: "audio is heard",
}
"""What is said of a track or the room."""
SOUNDLESS = (Hearing.ZEROS, Hearing.NO_PACKETS, Hearing.ENCRYPTED)
"""Of a track; the room is the first of these that one is, where all are."""


@dataclass(slots=True)
class _Track:
    packets_at: float
    signal_at: float
    is_mix: bool = False  # of all tracks: it has speech and text; that there is sound is for the tracks to say
    is_shared: bool = False  # by whoever speaks: silent while nobody does, and all there is when somebody does
    muted: bool = False
    encrypted: bool = False
    answered_at: float = -math.inf
    unanswered_since: float | None = None  # the transcriber owes an answer to speech
    wordless: int = 0  # samples sent since the last word, or since ...
    wordless_since: float = -math.inf
    reported: Hearing = Hearing.OK
    counters: TrackCounters = field(default_factory=TrackCounters)

    def restart(self, now: float) -> None:
        """It has its time again; one that was not heard stays so until it is."""
        if not self.reported.is_deaf:
            self.packets_at = self.signal_at = now
            self.unanswered_since = None

    def count(self, report: AudioHeard) -> None:
        """Adds what came."""
        self.counters.frames += report.frames
        self.counters.decoded += report.samples
        self.counters.level_dbfs = max(report.level_dbfs, ZEROS_DBFS)
        self.counters.gated += report.gated
        self.counters.sent += report.sent

    def owe(self, samples: int, now: float) -> None:
        """So much speech went to the transcriber."""
        if now - self.wordless_since > WORDLESS_WINDOW_S:
            self.wordless, self.wordless_since = 0, now
        self.wordless += samples
        if self.unanswered_since is None and now - self.answered_at >= ANSWERED_S:
            self.unanswered_since = now - 1.0

    def answer(self, now: float) -> None:
        """The transcriber has answered what was said so far."""
        self.answered_at, self.unanswered_since = now, None

    @property
    def is_due(self) -> bool:
        """Whether something should be heard on it."""
        return not self.muted and not self.encrypted and not self.is_mix

    def hearing(self, now: float, patience: float) -> Hearing:
        """What it is like. Muting it pays no debt of the transcriber's.

        `patience`: seconds without any signal until that is said.
        """
        if self.encrypted and not self.muted:
            return Hearing.ENCRYPTED
        if self.is_due and now - self.signal_at >= patience and now - self.packets_at >= DEAF_TIMEOUT_S:
            return Hearing.NO_PACKETS
        if self.is_due and now - self.signal_at >= patience:
            return Hearing.ZEROS
        is_late = self.unanswered_since is not None and now - self.unanswered_since >= DEAF_TIMEOUT_S
        if is_late or self.wordless >= WORDLESS_SAMPLES:
            return Hearing.NO_TEXT
        return Hearing.MUTED if self.muted else Hearing.OK


class HearingHealth:
    """Hearing of each track and of the room: from reports, and from the passing of time."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Track] = {}
        self._mix: dict[str, _Track] = {}  # of all tracks, once there is one
        self._reported = Hearing.OK  # of the room
        self._checked_at = -math.inf
        self._lost = self._paused = self._company = False
        self._trackless_since: float | None = None  # with company
        self._unlinked_since: float | None = None  # no transcriber
        self._spoke_at: float | None = None
        self._well_since: float | None = None
        self._has_answers = False  # any transcriber has answered, ever
        self._unheeded = UnheededSpeech()  # before that
        self._shown_at: float | None = None  # the last report of who speaks, if somebody did
        self._shows = self._has_shown = False  # the platform says who speaks; it has ever shown somebody
        self._unheard = 0.0  # seconds in which somebody was shown as speaking, since there was a signal on any track

    # --- what happens

    def opened(self, track_id: str, now: float, *, is_shared: bool = False) -> None:
        """A track can be heard from now on; `is_shared`: it is nobody's in particular, or only for now."""
        self._tracks[track_id] = _Track(now, now, is_shared=is_shared)
        self._unheard = 0.0

    def closed(self, track_id: str) -> list[ReportHealth]:
        """The track is gone and owes nothing any more: what was said to be wrong with it is over.

        With the last one goes the mix of all.
        """
        gone = {track_id: self._tracks.pop(track_id)} if track_id in self._tracks else {}
        if gone and not self._tracks:
            gone |= self._mix
            self._mix = {}
        return [
            ReportHealth(f"track:{closed_id}", True, "the track is closed")
            for closed_id, track in gone.items()
            if track.reported.is_deaf
        ]

    def encrypted(self, track_id: str) -> None:
        """Nothing can be heard on the track, and it is known why."""
        if track := self._tracks.get(track_id):
            track.encrypted = True

    def muted(self, track_id: str, muted: bool, now: float) -> None:
        """A muted track owes nothing; after unmuting it has its time again."""
        if track := self._tracks.get(track_id):
            track.muted = muted
            track.packets_at = track.signal_at = now
            self._unheard = 0.0

    def shown(self, is_speaking: bool, now: float) -> None:
        """The platform says whether it shows somebody as speaking."""
        if self._shown_at is not None:
            self._unheard += min(now - self._shown_at, SHOWN_HOLDS_S)
        self._shown_at = now if is_speaking else None
        self._shows, self._has_shown = True, self._has_shown or is_speaking

    def company(self, is_there: bool) -> None:
        """Whether anybody is there who might be heard."""
        self._company = is_there

    def heard(self, report: AudioHeard, now: float) -> bool:
        """Audio came; whether it counts as signal, from `SIGNAL_DBFS` on."""
        if report.track_id == MIX_TRACK and self._tracks and not self._mix:
            self._mix[MIX_TRACK] = _Track(now, now, is_mix=True)
        track = (self._mix | self._tracks).get(report.track_id)
        if track is None:
            return False
        track.count(report)
        track.packets_at, track.encrypted = now, False  # it can be heard: its key came
        if report.level_dbfs < SIGNAL_DBFS:
            return False
        track.signal_at, self._unheard = now, 0.0
        if report.speech:
            self._spoke_at = now
        if report.sent:  # speech that waits for a lane is not owed an answer yet
            track.owe(report.sent, now)
        self._unheeded.add(report.clear, now)
        return True

    def text(self, track_ids: Iterable[str], is_final: bool, now: float) -> None:
        """The transcriber has words for what was said on one of these tracks."""
        self._has_answers = True
        for track in self._known(track_ids):
            track.answer(now)
            track.wordless = 0
            track.counters.segments += is_final

    def decided(self, track_ids: Iterable[str], samples: int, now: float, *, is_assumed: bool = False) -> None:
        """The transcriber has no open question about an utterance of one of these tracks, whatever came of it.

        `is_assumed`: it said nothing of it, nor of anything else ever.
        """
        self._has_answers |= not is_assumed
        for track in self._known(track_ids):
            track.answer(now)
            track.counters.acknowledged += samples

    def _known(self, track_ids: Iterable[str]) -> Iterator[_Track]:
        """The open ones, and the mix: whatever anybody said is on it."""
        yield from (self._tracks[track_id] for track_id in track_ids if track_id in self._tracks)
        yield from self._mix.values()

    def link(self, up: bool, now: float) -> None:
        """The transcriber is there, or not."""
        self._unlinked_since = None if up else now if self._unlinked_since is None else self._unlinked_since

    def connection(self, lost: bool, now: float) -> None:
        """The connection to the room broke or came back: every track has its time again."""
        self._lost = lost
        self._restart(now)

    def pause(self, paused: bool, now: float) -> None:
        """The bot was asked not to listen, or to listen again."""
        self._paused = paused
        self._restart(now)

    def _restart(self, now: float) -> None:
        self._unheeded.forget()
        self._unheard = 0.0
        for track in (self._mix | self._tracks).values():
            track.restart(now)

    # --- what comes of it

    def check(self, now: float) -> list[ReportHealth]:
        """What changed since the last check. Deaf or not is news; who is quiet is not."""
        self._checked_at = now
        self._unheeded.look(now)
        if not self._company or self._tracks or self._is_excused:
            self._trackless_since = None
        elif self._trackless_since is None:
            self._trackless_since = now
        reports = []
        for track_id, track in self._owing.items():
            hearing = track.hearing(now, self._patience(track))
            if hearing is not track.reported and (hearing.is_deaf or track.reported.is_deaf):
                reports.append(ReportHealth(f"track:{track_id}", not hearing.is_deaf, WORDS[hearing], hearing))
            track.reported = hearing
        room = self.room(now)
        is_well = not room.is_deaf and not self._paused
        self._well_since = (now if self._well_since is None else self._well_since) if is_well else None
        if self._is_said(room, now) and room is not self._reported and (room.is_deaf or self._reported.is_deaf):
            reports.append(ReportHealth("room", not room.is_deaf, self._words(room), room))
            self._reported = room
        return reports

    def _patience(self, track: _Track) -> float:
        """Seconds without a signal until that is said. Of a mix silence is no news: that somebody spoke in it is."""
        is_dead = track.reported in (Hearing.NO_PACKETS, Hearing.ZEROS)  # until it is heard
        if not (track.is_shared and self._shows) or self.is_proved or is_dead:
            return DEAF_TIMEOUT_S
        return math.inf if self._has_shown else UNSHOWN_TIMEOUT_S

    @property
    def _is_excused(self) -> bool:
        """There is a reason for hearing nothing, which is said as such."""
        return self._lost or self._paused

    @property
    def _owing(self) -> dict[str, _Track]:
        """The tracks on which something could be heard."""
        return {} if self._is_excused else self._mix | self._tracks

    def room(self, now: float) -> Hearing:
        """What the room as a whole is like."""
        if self._paused:
            return Hearing.PAUSED
        if self._lost:
            return Hearing.NO_PACKETS
        if not self._tracks:
            return Hearing.NO_TRACKS
        states = {track.reported for track in self._tracks.values()} - {Hearing.MUTED}
        mixed = {mix.reported for mix in self._mix.values()} & {Hearing.NO_TEXT}
        if not states | mixed:
            return Hearing.MUTED
        if states and states <= set(SOUNDLESS):
            return next(hearing for hearing in SOUNDLESS if hearing in states)
        if self._unlinked_since is not None and now - self._unlinked_since >= DEAF_TIMEOUT_S:
            return Hearing.NO_TRANSCRIBER
        if Hearing.NO_TEXT in states | mixed:
            return Hearing.NO_TEXT
        return Hearing.OK if self._spoke_at is not None and now - self._spoke_at < DEAF_TIMEOUT_S else Hearing.SILENT

    def _is_said(self, room: Hearing, now: float) -> bool:
        """A lost connection is said as that; and who has just come may be about to open a track."""
        if room is Hearing.NO_TRACKS:
            return self._trackless_since is not None and now - self._trackless_since >= DEAF_TIMEOUT_S
        return not self._lost

    def _words(self, room: Hearing) -> str:
        if room in SOUNDLESS:
            owing = sum(not track.muted for track in self._tracks.values())
            return f"nothing is heard on any of {owing} open tracks: {WORDS[room]}"
        return f"every track is {WORDS[room]}" if room is Hearing.MUTED else WORDS[room]

    @property
    def is_soundless(self) -> bool:
        """Whether it was said that no sound comes of the room, although somebody is there; text may come otherwise."""
        return self._reported in (Hearing.NO_TRACKS, *SOUNDLESS)

    @property
    def is_proved(self) -> bool:
        """Somebody was shown as speaking for so long that one of the tracks should have carried it, and none did."""
        return self._unheard >= SHOWN_S

    @property
    def deaf(self) -> bool:
        """Nothing at all is heard, and it is not just one microphone switched off, nor a quiet mix; as of the last
        check."""
        dead = self.dead
        owing = sum(track.is_due for track in self._tracks.values())
        if not dead or len(dead) != owing or self.is_proved:
            return bool(dead) and len(dead) == owing
        if self._shows and any(self._tracks[track_id].is_shared for track_id in dead):
            return False
        return len(dead) > 1 or Hearing.NO_PACKETS in dead.values()

    @property
    def dead(self) -> dict[str, Hearing]:
        """The tracks on which nothing is heard and nobody knows why, as of the last check."""
        return {
            track_id: track.reported
            for track_id, track in self._owing.items()
            if track.reported in (Hearing.NO_PACKETS, Hearing.ZEROS)
        }

    @property
    def silent_since(self) -> float | None:
        """Since when everything could be heard and nobody spoke, as of the last check; None: one of both is not so."""
        if self._well_since is None:
            return None
        return self._well_since if self._spoke_at is None else max(self._well_since, self._spoke_at)

    @property
    def unheeded_since(self) -> float | None:
        """Since when clear speech is sent that no transcriber has answered, if none ever has, as of the last check.

        A pause or a lost connection begins it anew.
        """
        return None if self._has_answers else self._unheeded.since

    @property
    def counters(self) -> dict[str, TrackCounters]:
        """What has gone through each open track, and through the mix."""
        return {track_id: track.counters for track_id, track in (self._mix | self._tracks).items()}

    def next_timer(self) -> float | None:
        """When `check` may have something to say although no event came."""
        due = [moment + DEAF_TIMEOUT_S for moment in self._moments() if moment is not None]
        return min((moment for moment in due if moment > self._checked_at), default=None)

    def _moments(self) -> Iterator[float | None]:
        """Since when something is owed."""
        yield self._trackless_since
        yield self._unlinked_since
        for track in self._owing.values():
            yield track.unanswered_since
            if track.is_due:
                yield track.packets_at
                patience = self._patience(track)
                yield track.signal_at + patience - DEAF_TIMEOUT_S if patience < math.inf else None
