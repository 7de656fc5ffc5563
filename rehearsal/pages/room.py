"""A rehearsal room behind a web page that looks like a platform's, for bots that join in a browser.

    python -m rehearsal.pages.room google_meet SCRIPT --listen 127.0.0.1:0

The page is an imitation, made from what is documented of the real one: its states, its words, where it puts names and
who speaks, and its traps. Its media is real WebRTC from this room. Teams and Zoom mix: there one track has everybody.
Google Meet has a few streams for those who are loud, and their packets say whose voice is in them (CSRC).
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from common.audio.opus import OpusEncoder
from common.command_line import print_error
from common.errors import EarshotError
from rehearsal.clips import CLIP_RATE, Clip
from rehearsal.microphone import FRAME_SAMPLES
from rehearsal.script import Action, Script
from rehearsal.truth import TruthFile
from rehearsal.webrtc.peer import BotPeer
from rehearsal.webrtc.room import Person, Room, main

PLATFORMS = ("google_meet", "teams", "zoom", "jitsi")
MIXING = frozenset({"google_meet", "teams", "zoom"})
"""Platforms whose pages show no track as one participant's."""
MIX_TRACK = "mix-1"
STREAMS = ("stream-1", "stream-2", "stream-3")
"""What Google Meet sends: a stream is somebody's until another one needs it."""
SPEAKING_RMS = 300.0
"""RMS of 16-bit samples from which a microphone counts as speaking."""
HANGOVER_FRAMES = 15
"""So long it is still shown as speaking: 0.3 s."""
MAX_CHAT_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Look:
    """How the page looks.

    Args:
        platform: Whose it imitates.
        variants: Its traps and forms, by name; each page's script says which it has.
        words: Words of the page in place of its English ones, by name.
        state: In which it is, whatever the room says; empty: as the room says.
        passcode: That the page asks for; empty: none.
    """

    platform: str
    variants: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
    passcode: str = ""


class PagePeer(BotPeer):
    """A page in the room; of a room that mixes it hears the mix alone."""

    def __init__(self, identity: str, websocket: ServerConnection, room: PageRoom) -> None:
        super().__init__(identity, websocket)
        self._room = room

    def open_track(self, track: str, participant: str, muted: bool) -> None:
        """Announces a track; not where there is a mix."""
        if not self._room.mixes:
            super().open_track(track, participant, muted)

    def offer(self, track: str) -> None:
        """Offers a track's media."""
        if not self._room.mixes or track in self._room.shared:
            super().offer(track)

    def close_track(self, track: str) -> None:
        """Withdraws a track."""
        if not self._room.mixes:
            super().close_track(track)

    def put_back(self) -> None:
        """Out of the meeting, into the lobby."""
        self.admitted = False
        for track in list(self._senders):
            super().close_track(track)
        self.tell("lobby")

    def _other(self, message: dict[str, Any]) -> None:
        if message["type"] == "chat":
            self._room.chat(self.identity, str(message["text"]))


class PageRoom(Room):
    """A room whose bots come in a page of it.

    Args:
        script: Who, and what happens when.
        clips: The clips that the script names.
        truth: Where rows of what was really said go; None: nowhere.
        look: How its page looks; may be changed while it stands.
    """

    def __init__(self, script: Script, clips: dict[str, Clip], truth: TruthFile | None = None, *, look: Look) -> None:
        super().__init__(script, clips, truth)
        self.look = look
        self.written: list[str] = []
        """What bots have written into the chat."""
        self._mixer = OpusEncoder(CLIP_RATE, fec=True, loss_percent=5, dtx=False)
        self._spoke: dict[str, int] = {}  # participant → frame in which they were last loud
        self._speaking: frozenset[str] = frozenset()
        self._shown: deque[tuple[int, frozenset[str]]] = deque()  # frame in which the page is to show whom
        self.streams = dict.fromkeys(STREAMS, "") if look.platform == "google_meet" else {}
        """Stream → whose voice is on it; empty: nobody's yet. Fewer, from the start, is a test's right."""
        self._encoders = {stream: OpusEncoder(CLIP_RATE, fec=True, loss_percent=5, dtx=False) for stream in STREAMS}
        self.sources: defaultdict[str, int] = defaultdict(itertools.count(1001).__next__)
        """Participant → their contributing source."""
        self.indicates = True
        """Whether the page shows who speaks."""
        self.lag_s = 0.0
        """Seconds by which it does so late."""

    @property
    def mixes(self) -> bool:
        """Whether a page hears everybody in one track."""
        return self.look.platform in MIXING

    @property
    def shared(self) -> tuple[str, ...]:
        """The tracks on which a page that mixes hears everybody."""
        return tuple(self.streams) or (MIX_TRACK,)

    @property
    def origin(self) -> str:
        """`http://host:port` of the page."""
        return self.url.replace("rehearsal+ws://", "http://")

    def door(self, websocket: ServerConnection, request: Request) -> Response | None:
        """Answers HTTP: the page and its scripts, whatever its path; a websocket goes through."""
        if "upgrade" in request.headers.get("Connection", "").lower():
            return super().door(websocket, request)
        name = request.path.partition("?")[0].removeprefix("/-/")
        if name in ("meeting.js", f"{self.look.platform}.js"):
            return _answer("text/javascript", files("rehearsal.pages").joinpath(name).read_bytes())
        if request.path == "/favicon.ico":
            return websocket.respond(HTTPStatus.NOT_FOUND, "")
        return _answer("text/html", self._page().encode())

    def _page(self) -> str:
        """The page, with how it is to look."""
        look = self.look
        settings = {
            "platform": look.platform,
            "variants": look.variants,
            "words": dict(look.words),
            "state": look.state,
            "passcode": look.passcode,
        }
        told = json.dumps(settings).replace("<", "\\u003c")
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{look.platform} (rehearsal)</title>'
            f"<script>window.REHEARSAL = {told}</script></head><body>"
            f'<script src="/-/meeting.js"></script><script src="/-/{look.platform}.js"></script></body></html>'
        )

    def say(self, author: str, text: str) -> None:
        """Somebody in the meeting writes into the chat."""
        self._tell("chat", author=author, text=text)

    def caption(self, author: str, text: str) -> None:
        """The platform's captions show what somebody says, as far as it goes."""
        self._tell("caption", author=author, text=text)

    def chat(self, identity: str, text: str) -> None:
        """A bot writes into the chat."""
        text = text[:MAX_CHAT_CHARACTERS]
        self.written.append(text)
        self._tell("chat", author="", text=text)

    def show(self, state: str) -> None:
        """Every page shows this state, whatever is true."""
        for peer in self._peers.values():
            peer.tell("show", state=state)

    def put_back(self) -> None:
        """The host sends every bot back to the lobby."""
        for peer in self._admitted():
            if isinstance(peer, PagePeer):
                peer.put_back()

    def let_in(self) -> None:
        """The host admits whoever was put back."""
        for peer in self._peers.values():
            if not peer.admitted:
                self._admit(peer)

    def _peer(self, identity: str, websocket: ServerConnection) -> BotPeer:
        return PagePeer(identity, websocket, self)

    def _admit(self, peer: BotPeer) -> None:
        super()._admit(peer)
        if self.mixes:
            for track in self.shared:
                peer.offer(track)
        peer.tell("speaking", participants=sorted(self._speaking))

    def _perform(self, action: Action, person: Person) -> None:
        super()._perform(action, person)
        if action.do in ("mute", "unmute"):
            self._tell("muted_person" if person.muted else "unmuted_person", participant=person.participant)

    def _send(self, frame: int, lag: float) -> None:
        if not self.mixes:
            self._listen(frame)
            super()._send(frame, lag)
            return
        heard: dict[str, Any] = {}
        for person in self._people.values():
            if person.track is None:
                continue
            if not person.muted:
                pcm = person.microphone.capture(frame)
                self._notice(person, pcm, frame)
                heard[person.participant] = pcm
            self._tell_truth(person.microphone.captured(frame, not person.muted, lag, time.time()))
        if self.streams:
            self._forward(heard, frame)
        else:
            mix = sum(heard.values(), np.zeros(FRAME_SAMPLES, np.int32))
            payload = self._mixer.encode(np.clip(mix, -32_768, 32_767).astype(np.int16))
            for peer in self._peers.values():
                peer.push(MIX_TRACK, frame * FRAME_SAMPLES, payload)
        self._tell_speaking(frame)

    def _forward(self, heard: Mapping[str, Any], frame: int) -> None:
        """Those who speak each have a stream: theirs still, or the first on which nobody speaks any more."""
        speaking = self._who_speaks(frame)
        for who in sorted(speaking - set(self.streams.values())):
            free = [stream for stream, holder in self.streams.items() if holder not in speaking]
            if free:
                self.streams[free[0]] = who
        for stream, who in self.streams.items():
            payload = self._encoders[stream].encode(heard.get(who, np.zeros(FRAME_SAMPLES, np.int16)))
            sources = (self.sources[who],) if who else ()
            for peer in self._peers.values():
                peer.push(stream, frame * FRAME_SAMPLES, payload, sources)

    def _who_speaks(self, frame: int) -> frozenset[str]:
        return frozenset(who for who, last in self._spoke.items() if frame - last < HANGOVER_FRAMES)

    def _listen(self, frame: int) -> None:
        for person in self._people.values():
            if person.track is not None and not person.muted:
                self._notice(person, person.microphone.capture(frame), frame)
        self._tell_speaking(frame)

    def _notice(self, person: Person, pcm: Any, frame: int) -> None:
        if float(np.sqrt(np.mean(np.square(pcm.astype(np.float64))))) >= SPEAKING_RMS:
            self._spoke[person.participant] = frame

    def _tell_speaking(self, frame: int) -> None:
        speaking = self._who_speaks(frame) if self.indicates else frozenset()
        if not self._shown or self._shown[-1][1] != speaking:
            self._shown.append((frame + round(self.lag_s * CLIP_RATE / FRAME_SAMPLES), speaking))
        while len(self._shown) > 1 and self._shown[1][0] <= frame:
            self._shown.popleft()
        due, speaking = self._shown[0]
        if due <= frame and speaking != self._speaking:
            self._speaking = speaking
            for peer in self._admitted():
                peer.tell("speaking", participants=sorted(speaking))


def _answer(kind: str, body: bytes) -> Response:
    headers = Headers({"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body))})
    headers["Cache-Control"], headers["Connection"] = "no-store", "close"
    return Response(HTTPStatus.OK, "OK", headers, body)


def run() -> int:
    """The command described in this module's docstring; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.pages.room")
    parser.add_argument("platform", choices=PLATFORMS)
    parser.add_argument("script", help="rehearsal script (JSON)")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--truth", help="file for rows of what was really said")
    given = parser.parse_args()
    try:
        return main(given.script, given.listen, given.truth, make=partial(PageRoom, look=Look(given.platform)))
    except EarshotError as error:
        print_error(error)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(run())
