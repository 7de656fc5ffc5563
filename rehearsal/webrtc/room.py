"""The rehearsal room: a scripted meeting that bots join over real WebRTC (`earshot room SCRIPT --listen HOST:PORT`).

Signalling is JSON over a websocket. The bot says `join {identity, name}`, answers each `offer {track, sdp}` with
`answer {track, sdp}`, and says `leave`. The room says `lobby`, `admitted {participants}`, `refused`,
`joined {participant, name}`, `renamed {participant, name}`, `left {participant}`,
`track_opened {track, participant, muted}`, `muted {track}`, `unmuted {track}`, `track_closed {track}`, `removed`,
`ended`, `replaced` (the same identity connected again). A room never learns what the bot makes of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen_on
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from common.audio.opus import OpusEncoder
from common.errors import EarshotError
from common.problems import ConfigError, Problem, reason, shown
from rehearsal.clips import CLIP_RATE, Clip, load_script
from rehearsal.microphone import FRAME_SAMPLES, Microphone, Truth
from rehearsal.script import Action, Participant, Script
from rehearsal.truth import TruthFile
from rehearsal.webrtc.peer import BotPeer

TICK_S = FRAME_SAMPLES / CLIP_RATE
JOIN_TIMEOUT_S = 10.0
"""A connection may take so long to say who it is."""
MAX_MESSAGE_CHARACTERS = 20_000
"""Of a failure, as a program reads it."""


@dataclass(slots=True)
class Person:
    """A participant as the room knows them now."""

    participant: str
    name: str
    present: bool = False
    muted: bool = False
    track: str | None = None
    microphone: Microphone = field(init=False)
    encoder: OpusEncoder | None = None

    def __post_init__(self) -> None:
        self.microphone = Microphone(self.participant)


class Room:
    """A meeting that follows a script, or what a test makes it `perform`.

    Args:
        script: Who, and what happens when.
        clips: The clips that the script names.
        truth: Where rows of what was really said go; None: nowhere.
    """

    def __init__(self, script: Script, clips: dict[str, Clip], truth: TruthFile | None = None) -> None:
        self._script, self._clips, self._truth = script, clips, truth or TruthFile()
        self._people = {p.id: Person(p.id, p.name) for p in script.participants}
        self._peers: dict[str, BotPeer] = {}
        self._known: set[str] = set()  # identities admitted once: they come back without a lobby
        self._tracks_opened = 0
        self._cut_until = 0.0
        self._with_track = script.with_track()
        self.url = ""
        """`rehearsal+ws://host:port`, once it listens."""
        self.truth: list[Truth] = []
        """Rows so far."""
        self.unsent = 0
        """Packets that the room itself has lost, of all tracks to all bots: rows of that time are not complete."""
        self.admission: float | None = None
        """Script time zero: monotonic seconds of the first admission."""
        self.started, self.ended, self.open_lobby = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._vacant = asyncio.Event()
        self._vacant.set()
        for participant in script.from_start():
            self._join(self._people[participant], publishes=participant in self._with_track)

    # --- the meeting

    async def play(self) -> None:
        """From the first admission on: 50 frames a second on an absolute schedule, and the timeline's actions."""
        await self.started.wait()
        if self.admission is None:
            raise AssertionError("started without an admission")
        waiting = list(self._script.timeline)
        frame = 0
        while not self.ended.is_set():
            while waiting and waiting[0].at <= frame * TICK_S:
                self.perform(waiting.pop(0))
            frame += 1
            await asyncio.sleep(max(0.0, self.admission + frame * TICK_S - time.monotonic()))
            self._send(frame - 1, max(0.0, time.monotonic() - self.admission - frame * TICK_S))

    def perform(self, action: Action) -> None:
        """Does one action now."""
        match action.do:
            case "cut":
                self._cut_until = time.monotonic() + (action.seconds or 0.0)
                for peer in list(self._peers.values()):
                    peer.cut()
            case "remove" | "end":
                if action.do == "end":
                    self.ended.set()
                for peer in self._peers.values():
                    peer.finish("removed" if action.do == "remove" else "ended")
                    self._known.discard(peer.identity)
            case _:
                self._perform(action, self._people[action.who or ""])

    def _perform(self, action: Action, person: Person) -> None:
        match action.do:
            case "join":
                person.name = action.name or person.name
                self._join(person, publishes=person.participant in self._with_track)
            case "speak":
                self.speak(person.participant, self._clips[action.clip or ""], action.text, action.at)
            case "mute" | "unmute":
                person.muted = action.do == "mute"
                self._tell("muted" if person.muted else "unmuted", track=person.track)
            case "rename":
                person.name = action.name or person.name
                self._tell("renamed", participant=person.participant, name=person.name)
            case "leave":
                self._leave(person)

    def enter(self, participant: Participant, publishes: bool) -> None:
        """Somebody who is not in the script joins now."""
        person = self._people.setdefault(participant.id, Person(participant.id, participant.name))
        person.name = participant.name
        self._join(person, publishes)

    def speak(self, who: str, clip: Clip, text: str | None = None, at: float | None = None) -> None:
        """Begins a clip, at script time `at` or now."""
        person = self._people[who]
        if at is None:
            at = 0.0 if self.admission is None else time.monotonic() - self.admission
        self._tell_truth(person.microphone.speak(clip, round(at * CLIP_RATE), text or clip.text, person.name))

    def _join(self, person: Person, publishes: bool) -> None:
        person.present, person.muted = True, False
        self._tell("joined", participant=person.participant, name=person.name)
        if publishes:
            self._tracks_opened += 1
            person.track = f"{person.participant}-{self._tracks_opened}"
            person.encoder = OpusEncoder(CLIP_RATE, fec=True, loss_percent=5, dtx=True)
            for peer in self._admitted():
                peer.open_track(person.track, person.participant, person.muted)

    def _leave(self, person: Person) -> None:
        self._tell_truth(person.microphone.stop())
        person.present = False
        if person.track is not None:
            for peer in self._admitted():
                peer.close_track(person.track)
        person.track = person.encoder = None
        self._tell("left", participant=person.participant)

    def _send(self, frame: int, lag: float) -> None:
        for person in self._people.values():
            if person.track is None or person.encoder is None:
                continue
            is_sent = not person.muted
            if is_sent:
                payload = person.encoder.encode(person.microphone.capture(frame))
                if len(payload) > 2:  # shorter: nothing to be sent (DTX)
                    at = frame * FRAME_SAMPLES
                    unsent = sum(not peer.push(person.track, at, payload) for peer in self._peers.values())
                    self.unsent += unsent
                    is_sent = not unsent
            self._tell_truth(person.microphone.captured(frame, is_sent, lag, time.time()))

    def _tell_truth(self, rows: list[Truth]) -> None:
        self.truth += rows
        self._truth.write(rows)

    async def emptied(self, within: float = 2.0) -> None:
        """Waits until the last bot has gone, but not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._vacant.wait()

    # --- its bots

    def _admitted(self) -> list[BotPeer]:
        return [peer for peer in self._peers.values() if peer.admitted]

    def _tell(self, kind: str, **content: str | None) -> None:
        for peer in self._admitted():
            peer.tell(kind, **content)

    def door(self, websocket: ServerConnection, request: Request) -> Response | None:
        """Answers HTTP: 503 while the network is cut."""
        if time.monotonic() < self._cut_until:
            return websocket.respond(503, "the script has cut the network\n")
        return None

    async def visit(self, websocket: ServerConnection) -> None:
        """One bot's connection, from its first message to its end."""
        try:
            async with asyncio.timeout(JOIN_TIMEOUT_S):
                message = json.loads(await websocket.recv())
            identity = str(message["identity"]) if message["type"] == "join" else ""
        except (ConnectionClosed, TimeoutError, ValueError, TypeError, KeyError):
            identity = ""
        if not identity:
            await websocket.close(1008, "the first message must be join {identity, name}")
            return
        peer = self._peer(identity, websocket)
        if former := self._peers.get(identity):
            former.finish("replaced")
        self._peers[identity] = peer
        self._vacant.clear()
        try:
            async with asyncio.TaskGroup() as group:
                lobby = group.create_task(self._lobby(peer))
                await peer.run()
                lobby.cancel()
        finally:
            if self._peers.get(identity) is peer:
                del self._peers[identity]
            if not self._peers:
                self._vacant.set()

    def _peer(self, identity: str, websocket: ServerConnection) -> BotPeer:
        return BotPeer(identity, websocket)

    async def _lobby(self, peer: BotPeer) -> None:
        lobby = self._script.lobby
        if lobby is not None and peer.identity not in self._known:
            peer.tell("lobby")
            with suppress(TimeoutError):
                async with asyncio.timeout(lobby.delay):
                    await self.open_lobby.wait()
            if lobby.then == "refuse":
                peer.finish("refused")
                return
            if lobby.then == "ignore":
                await self.open_lobby.wait()
        if self.ended.is_set():
            peer.finish("ended")
        else:
            self._admit(peer)

    def _admit(self, peer: BotPeer) -> None:
        self._known.add(peer.identity)
        if self.admission is None:
            self.admission = time.monotonic()
            self.started.set()
        people = [
            {"participant": p.participant, "name": p.name, "track": p.track, "muted": p.muted}
            for p in self._people.values()
            if p.present
        ]
        peer.tell("admitted", participants=people)
        peer.admitted = True
        for person in self._people.values():
            if person.track is not None:
                peer.offer(person.track)


AnyRoom = TypeVar("AnyRoom", bound=Room)


@asynccontextmanager
async def serve(
    script: Script, clips: dict[str, Clip], host: str = "127.0.0.1", port: int = 0, truth: TruthFile | None = None
) -> AsyncIterator[Room]:
    """A room that listens; port 0 takes a free one. Closes every connection at the end.

    Raises:
        ConfigError: When it cannot listen there.
    """
    async with listening(Room(script, clips, truth), host, port) as room:
        yield room


@asynccontextmanager
async def listening(room: AnyRoom, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[AnyRoom]:
    """The room, which listens until the end. Raises ConfigError when it cannot listen there."""
    try:
        server = await listen_on(
            room.visit,
            host,
            port,
            process_request=room.door,
            compression=None,
            max_size=256 * 1024,
            ping_interval=5,
            ping_timeout=5,
            close_timeout=1,
        )
    except (OSError, UnicodeError) as error:
        allowed = f"an address of this machine and a free port, such as 127.0.0.1:0 ({reason(error)})"
        raise ConfigError([Problem("--listen", shown(f"{host}:{port}"), allowed)]) from None
    address = server.sockets[0].getsockname()
    room.url = f"rehearsal+ws://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}"
    playing = asyncio.create_task(room.play())
    playing.add_done_callback(lambda _: room.ended.set())  # also when it fails: nobody waits for ever
    try:
        yield room
    finally:
        playing.cancel()
        server.close()
        await server.wait_closed()
        with suppress(asyncio.CancelledError):
            await playing


Make: TypeAlias = Callable[[Script, dict[str, Clip], TruthFile], Room]


def main(script: str, listen: str, truth: str | None = None, owned: bool = False, make: Make = Room) -> int:
    """`earshot room`: plays a script until its end, SIGINT or SIGTERM. Prints the room's URL when it listens.

    Args:
        script: Path of the script.
        listen: `host:port`; port 0 takes a free one.
        truth: Path of the file for rows of what was really said.
        owned: Started by a program: also end when standard input closes, that is with it, and say a failure on standard
            output as one line of JSON, `{"code": sub-code, "message": …}`, instead of for people on standard error.
        make: Makes the room.

    Returns:
        The process exit status.

    Raises:
        EarshotError: Unless `owned`.
    """
    try:
        return asyncio.run(_main(Path(script), listen, truth, owned, make))
    except EarshotError as error:
        if not owned:
            raise
        failure = {"code": error.code, "message": str(error)[:MAX_MESSAGE_CHARACTERS]}
        sys.stdout.write(json.dumps(failure) + "\n")
        sys.stdout.flush()
        return error.exit_code


async def _main(path: Path, listen: str, truth: str | None, owned: bool, make: Make) -> int:
    script, clips = load_script(path)
    host, _, port = listen.rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise ConfigError([Problem("--listen", shown(listen), "HOST:PORT, such as 127.0.0.1:8090")])
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    received: list[int] = []

    def stop(code: int) -> None:
        received.append(code)
        stopped.set()

    def owner_gone() -> None:
        if os.read(0, 1024) == b"":
            loop.remove_reader(0)
            stop(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, 128 + number)
    if owned:
        loop.add_reader(0, owner_gone)
    try:
        with TruthFile(truth) as rows:
            made = make(script, clips, rows)
            async with listening(made, host.strip("[]") or "127.0.0.1", int(port)) as room:
                sys.stdout.write(f"{room.url}\n")
                sys.stdout.flush()
                async with asyncio.TaskGroup() as group:
                    waits = [group.create_task(event.wait()) for event in (stopped, room.ended)]
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    for wait in waits:
                        wait.cancel()
                if room.ended.is_set():
                    await room.emptied()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # we are on our way out: a late one must not find a closed loop
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
    return received[0] if received else 0
