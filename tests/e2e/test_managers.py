"""A real meeting, bot, transcriber and Redis beside stand-ins of a manager and its collector: what users see."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, get_args

import pytest

from common.redis import connect
from rehearsal.score import words
from tests.e2e.test_processes import neighbours
from tests.support.fakes.stand_in_consumers import NATIVE_ID, ROW_ID, USER_TOKEN, StandInClient, StandInCollector
from tests.support.processes import ended
from tests.support.servers.redis_server import payloads
from tests.support.servers.stand_in_manager import Generation, StandInManager, served

pytestmark = [pytest.mark.processes, pytest.mark.redis, pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(120)]

SCRIPT = {
    "version": 1,
    "lobby": {"delay": 0.5, "then": "admit"},
    "participants": [{"id": "ana", "name": "Ana Silva"}, {"id": "ben", "name": "Ben"}],
    "timeline": [
        {"at": 0.8, "who": "ana", "do": "speak", "clip": "ana1", "text": "what is the status of the contract"},
        {"at": 3.4, "who": "ben", "do": "speak", "clip": "ben2", "text": "i am working on the server from anna"},
        {"at": 6.0, "who": "ben", "do": "rename", "name": "Ben Okafor"},
        {"at": 6.8, "who": "ana", "do": "speak", "clip": "ana6", "text": "i have a question about our design"},
        {"at": 8.0, "who": "ben", "do": "speak", "clip": "ben1", "text": "there is a problem with the final survey"},
        {"at": 12.5, "do": "end"},
    ],
}
SAID = [
    ("Ana Silva", "what is the status of the contract"),
    ("Ben", "i am working on the server from anna"),
    ("Ana Silva", "i have a question about our design"),
    ("Ben Okafor", "there is a problem with the final survey"),
]


def turns(lines: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What each said until another spoke: on a busy machine the room itself stalls, and a stall sounds like a pause."""
    return [(who, " ".join(text for _, text in said)) for who, said in groupby(lines, key=itemgetter(0))]


@pytest.mark.parametrize("generation", get_args(Generation))
async def test_who_said_what_as_the_users_see_it(generation: Generation, tmp_path: Path) -> None:
    """Every utterance under its speaker's name of that moment, overlap and rename included; live, and at the end."""
    script = tmp_path / "script.json"
    script.write_text(json.dumps(SCRIPT))
    collector, watcher = StandInCollector(generation), StandInClient()
    with neighbours(tmp_path) as urls:
        redis = connect(urls["redisUrl"])
        async with served(StandInManager(generation)) as manager, redis.pubsub() as live:
            await live.subscribe(f"tc:meeting:{ROW_ID}:mutable")
            config = {
                "platform": "rehearsal",
                "meetingUrl": f"rehearsal:{script}",
                "meeting_id": ROW_ID,
                "nativeMeetingId": NATIVE_ID,
                "connectionId": "bot-1",
                "container_name": "vexa-bot-42",
                "token": USER_TOKEN,
                **manager.settings,
                **urls,
            }
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot", "/app/vexa-bot/entrypoint.sh",
                env={**os.environ, "BOT_CONFIG": json.dumps(config)}, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            async with ended(process):
                _, log = await process.communicate()
            assert process.returncode == 0, log.decode()
            while message := await live.get_message(timeout=0.1):
                if message["type"] == "message":
                    watcher.take(message["data"])
            assert manager.row.moves == ["joining", "awaiting_admission", "active", "completed"]
            assert manager.row.completion_reason == "stopped"
            events: Any = await redis.xrange("speaker_events_relative")
            for _, fields in events:
                collector.speaker(fields)
            for payload in await payloads(redis):
                collector.take(payload)
        await redis.aclose()
    assert (collector.dropped, collector.poisoned, collector.strays) == (0, 0, 0)
    lines = [(line.speaker, words(line.text)) for line in collector.transcript()]
    assert turns(lines) == SAID
    assert sorted(map(words, watcher.rows.values())) == sorted(text for _, text in lines)
    assert watcher.drafts_shown >= len(SAID)
    assert not any(watcher.drafts.values())
