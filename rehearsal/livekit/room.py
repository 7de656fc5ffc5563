"""The LiveKit room of a rehearsal: a script played in a real one, with one real publisher per participant.

    python -m rehearsal.livekit.room SCRIPT --url ws://198.51.100.1:7880 --room NAME [--truth FILE] [--owned]

Key and secret of the server: environment LIVEKIT_API_KEY and LIVEKIT_API_SECRET. Prints `ready` when all are there.
Script time zero is when the first participant that is not in the script has joined: the bot, whom the server sees and
nobody else does. Truth is as in `earshot room`; with `--owned` it also ends when standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
from livekit.rtc import ConnectError
from livekit.rtc.participant import PublishTrackError

from common.command_line import print_error
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.redact import Redactor
from rehearsal.clips import CLIP_RATE, Clip, load_script
from rehearsal.livekit.guest import Guest
from rehearsal.livekit.server import LiveKitServer, as_host
from rehearsal.microphone import FRAME_SAMPLES, Microphone, Truth
from rehearsal.script import Action, Participant, Script
from rehearsal.truth import TruthFile

if TYPE_CHECKING:
    from collections.abc import Callable

FRAME_S = FRAME_SAMPLES / CLIP_RATE
LEAD_S = 0.1
"""Audio is handed to the SDK so long before it is due: what a late wake-up may take without a gap."""
POLL_S = 0.05


class LiveKitRoom:
    """One performance of a script.

    Args:
        script: Without cuts and refusal, which a LiveKit room cannot have at will; a lobby that admits is skipped.
        clips: Every clip of the script, by name.
        truth: Where rows of what was really said go; None: nowhere.

    Raises:
        EarshotError: CONFIG_INVALID for a script that needs a refusal or a cut.
    """

    def __init__(
        self, script: Script, clips: dict[str, Clip], server: LiveKitServer, room: str, truth: TruthFile | None = None
    ) -> None:
        refuses = script.lobby is not None and script.lobby.then != "admit"
        if refuses or any(action.do == "cut" for action in script.timeline):
            words = "a LiveKit room cannot refuse or be cut: play this script with the platform `rehearsal`"
            raise EarshotError(SubCode.CONFIG_INVALID, words)
        self._script = script
        self._clips = clips
        self._server = server
        self._room = room
        self._truth = truth or TruthFile()
        self.truth: list[Truth] = []
        """Rows so far."""
        self.ready = asyncio.Event()
        """Set when everybody is there."""
        self._zero = 0.0  # monotonic
        self._wall = 0.0  # the same moment, seconds since 1970
        self._begun = asyncio.Event()

    async def play(self) -> None:
        """Plays to the script's `end`; a script without one leaves the participants in the room until cancelled."""
        ended = any(action.do == "end" for action in self._script.timeline)
        async with asyncio.TaskGroup() as tasks:
            ready = []
            for participant in self._script.participants:
                there = asyncio.Event()
                ready.append(there.wait())
                tasks.create_task(self._live(participant, there, ended))
            await asyncio.gather(*ready)
            self.ready.set()
            bot = await self._first_stranger()
            self._zero, self._wall = time.monotonic(), time.time()
            self._begun.set()
            for action in self._script.timeline:
                if action.who is None:
                    await self._until(action.at)
                    await self._as_host(action, bot)

    def _tell_truth(self, rows: list[Truth]) -> None:
        self.truth += rows
        self._truth.write(rows)

    async def _first_stranger(self) -> str:
        """The identity of the bot, once it is in."""
        ours = {participant.id for participant in self._script.participants}
        while True:
            answer = await as_host(self._server, "ListParticipants", room=self._room)
            for person in answer.get("participants", []):
                if person["identity"] not in ours and person.get("state") == "ACTIVE":
                    return str(person["identity"])
            await asyncio.sleep(POLL_S)

    async def _as_host(self, action: Action, bot: str) -> None:
        if action.do == "remove":
            await as_host(self._server, "RemoveParticipant", room=self._room, identity=bot)
        else:
            await as_host(self._server, "DeleteRoom", room=self._room)

    async def _until(self, at: float) -> None:
        await asyncio.sleep(self._zero + at - time.monotonic())

    async def _live(self, participant: Participant, there: asyncio.Event, ended: bool) -> None:
        """Everything that one participant does, in order; with an `end` in the script, until then."""
        actor = _Actor(participant, self._tell_truth)
        speaks = participant.id in self._script.with_track()
        try:
            if participant.id in self._script.from_start():
                await actor.join(self._server, self._room, speaks)
            there.set()
            await self._begun.wait()
            playing = asyncio.create_task(actor.play(self._zero, self._wall))
            try:
                for action in self._script.timeline:
                    if action.who == participant.id:
                        await self._until(action.at - (LEAD_S + FRAME_S if action.do == "speak" else 0))
                        await self._act(actor, action, speaks)
                last = max((action.at for action in self._script.timeline), default=0.0)
                await (self._until(last) if ended else asyncio.Event().wait())
            finally:
                playing.cancel()
                await asyncio.wait([playing])
        finally:
            await actor.leave()

    async def _act(self, actor: _Actor, action: Action, speaks: bool) -> None:
        match action.do:
            case "join":
                await actor.join(self._server, self._room, speaks, action.name)
            case "speak":
                clip = self._clips[action.clip or ""]
                actor.speak(clip, round(action.at * CLIP_RATE), action.text if action.text is not None else clip.text)
            case "mute" | "unmute":
                actor.mute(action.do == "mute")
            case "rename":
                await actor.rename(action.name or "")
            case _:
                await actor.leave()


class _Actor:
    """A participant with a microphone that runs on script time, leaves and comes back."""

    def __init__(self, participant: Participant, tell: Callable[[list[Truth]], None]) -> None:
        self._id = participant.id
        self._name = participant.name
        self._tell = tell
        self._guest: Guest | None = None
        self._microphone = Microphone(participant.id)
        self._muted = False

    async def join(self, server: LiveKitServer, room: str, speaks: bool, name: str | None = None) -> None:
        self._name = name or self._name
        self._muted = False
        guest = Guest(self._id, self._name)
        await guest.join(server, room)
        if speaks:
            await guest.publish()
        self._guest = guest

    def speak(self, clip: Clip, first: int, text: str | None) -> None:
        self._tell(self._microphone.speak(clip, first, text, self._name))

    def mute(self, muted: bool) -> None:
        self._muted = muted
        if self._guest is not None:
            (self._guest.mute if muted else self._guest.unmute)()

    async def rename(self, name: str) -> None:
        self._name = name
        if self._guest is not None:
            await self._guest.rename(name)

    async def leave(self) -> None:
        guest, self._guest = self._guest, None
        self._tell(self._microphone.stop())
        if guest is not None:
            await guest.leave()

    async def play(self, zero: float, wall: float) -> None:
        """Hands the microphone's frames to the SDK, `LEAD_S` before they are due."""
        frame, before = 0, None
        while True:
            guest = self._guest
            if guest is not before and guest is not None and guest.speaks:
                await guest.speak(np.zeros(round(LEAD_S * CLIP_RATE), np.int16), wait=False)
                frame = math.ceil((time.monotonic() + LEAD_S - zero) / FRAME_S)
            due = zero + frame * FRAME_S
            await asyncio.sleep(due - LEAD_S - time.monotonic())
            if guest is not None and guest.speaks:
                await guest.speak(self._microphone.capture(frame), wait=False)
                lag = time.monotonic() + guest.queued - due - FRAME_S
                went_out = wall + (frame + 1) * FRAME_S + lag
                self._tell(self._microphone.captured(frame, not self._muted, lag, went_out))
            before = guest
            frame += 1


def main() -> int:
    """The command described in this module's docstring; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.livekit.room")
    parser.add_argument("script", type=Path)
    parser.add_argument("--url", required=True, help="ws:// or wss:// of the LiveKit server")
    parser.add_argument("--room", required=True, help="name of the room; joining creates it")
    parser.add_argument("--truth", help="file for rows of what was really said")
    parser.add_argument("--owned", action="store_true", help="also end when standard input closes")
    given = parser.parse_args()
    missing = [name for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET") if not os.environ.get(name)]
    if missing:
        parser.error(f"set {' and '.join(missing)} in the environment")
    logging.getLogger("livekit").setLevel(logging.CRITICAL)  # what matters arrives as an exception
    warnings.filterwarnings("ignore", "The HMAC key is")  # the secret of `--dev` is `secret`
    server = LiveKitServer(given.url, os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"])
    try:
        script, clips = load_script(given.script)
        with TruthFile(given.truth) as truth:
            return asyncio.run(_main(LiveKitRoom(script, clips, server, given.room, truth), given.owned))
    except EarshotError as error:
        print_error(error)
        return error.exit_code


async def _main(room: LiveKitRoom, owned: bool) -> int:
    loop, playing = asyncio.get_running_loop(), asyncio.create_task(room.play())
    status = [0]

    def stop(code: int) -> None:
        status[0] = code
        playing.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, 128 + number)
    if owned:
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 1) else stop(0))
    ready = asyncio.create_task(room.ready.wait())
    await asyncio.wait((playing, ready), return_when=asyncio.FIRST_COMPLETED)
    if room.ready.is_set():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
    ready.cancel()
    try:
        await playing
    except asyncio.CancelledError:
        return status[0]
    except ExceptionGroup as group:
        failures = group.subgroup((ConnectError, PublishTrackError, httpx.HTTPError))
        if failures is None:
            raise
        reason = Redactor()(str(getattr(failures.exceptions[0], "message", failures.exceptions[0])))
        advice = "check --url, LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
        raise EarshotError(SubCode.ROOM_UNREACHABLE, f"the LiveKit room does not work: {reason}: {advice}") from None
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the SDK that call into a Python that is being taken apart panic, and abort the process
