"""Bodies of both health endpoints, built and read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.health import (
    BotHealth,
    Hearing,
    TrackCounters,
    TranscriberHealth,
    parse_bot_health,
    parse_transcriber_health,
)
from common.contracts.json_values import write
from common.contracts.status import State
from tests.support.documents import changed, texts

TRANSCRIBER = TranscriberHealth("ok", "faster_whisper", "demo", 3, 64, 1.2, 0, 0.0, "up", 0, 0)


@pytest.mark.parametrize("age", [None, 1.5])
def test_the_bots_body_reads_back(age: float | None) -> None:
    """Builder and parser are each other's inverse."""
    health = BotHealth("active", {"redis": True}, age, ready=age is not None, loop_lag=0.25)
    assert parse_bot_health(json.dumps(health.as_json())) == health


@pytest.mark.parametrize("last", [None, 1.2])
def test_the_transcribers_body_reads_back(last: float | None) -> None:
    """Builder and parser are each other's inverse."""
    body = json.dumps(TRANSCRIBER.as_json() | {"last_decode_s": last})
    assert parse_transcriber_health(body).last_decode_s == last


TENTHS = st.integers(0, 10_000_000).map(lambda tenths: tenths / 10)
COUNTS = st.integers(0)


TRACKS = st.builds(TrackCounters, COUNTS, COUNTS, TENTHS, COUNTS, COUNTS, COUNTS, COUNTS)
BOTS = st.builds(
    BotHealth,
    st.sampled_from(State),
    st.dictionaries(texts, st.booleans()),
    st.none() | TENTHS,
    st.booleans(),
    TENTHS,
    st.sampled_from(Hearing),
    st.dictionaries(texts, TRACKS, max_size=2),
)


@given(BOTS)
def test_any_bot_reads_back(health: BotHealth) -> None:
    """Whatever it is connected to."""
    assert parse_bot_health(write(health.as_json())) == health


@given(
    st.builds(
        TranscriberHealth,
        texts,
        texts,
        texts,
        COUNTS,
        COUNTS,
        st.none() | TENTHS,
        COUNTS,
        TENTHS,
        texts,
        COUNTS,
        COUNTS,
        TENTHS,
    )
)
def test_any_transcriber_reads_back(health: TranscriberHealth) -> None:
    """Whatever it has to do."""
    assert parse_transcriber_health(write(health.as_json())) == health


BOT = BotHealth(State.ACTIVE, {"redis": True}, 1.0, True, 0.1, Hearing.OK, {"t": TrackCounters()})


@pytest.mark.parametrize(("broken", "named"), changed(BOT.as_json()))
def test_a_wrong_field_of_a_bot_is_refused_by_name(broken: Any, named: str) -> None:
    """Every field, each link."""
    with pytest.raises(ValueError, match=rf"{named}: .*expected"):
        parse_bot_health(json.dumps(broken))


@pytest.mark.parametrize(("broken", "named"), changed(TRANSCRIBER.as_json()))
def test_a_wrong_field_of_a_transcriber_is_refused_by_name(broken: Any, named: str) -> None:
    """Every field."""
    with pytest.raises(ValueError, match=rf"{named}: .*expected"):
        parse_transcriber_health(json.dumps(broken))


def test_other_bodies_are_refused() -> None:
    """A proxy's page is no health."""
    for parse in (parse_bot_health, parse_transcriber_health):
        with pytest.raises(ValueError, match="expected"):
            parse("{}")


def test_deaf_is_who_may_miss_something() -> None:
    """Silence, a muted room and a pause that was asked for are in order."""
    well = {Hearing.OK, Hearing.SILENT, Hearing.MUTED, Hearing.PAUSED}
    assert {hearing for hearing in Hearing if not hearing.is_deaf} == well
