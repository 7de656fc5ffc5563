"""Writes what is derived: schema, exit codes, lifecycle, metrics; what faults have shown. A test compares them.

python tools/generate_docs.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot.config import json_schema  # noqa: E402
from bot.core.lifecycle import mermaid  # noqa: E402
from bot.metrics import BotMetrics  # noqa: E402
from common.contracts.generations import Generation, ending  # noqa: E402
from common.contracts.status import MEANINGS, SubCode  # noqa: E402
from common.metrics import Series  # noqa: E402
from tests.faults.promises import PROMISES, Promise  # noqa: E402
from transcriber.core.load import (  # noqa: E402
    HURRY_WAIT_S,
    LADDER,
    LEVEL_HOLD_S,
    MIN_WAITS,
    RESTORE_HOLD_S,
    RESTORE_WAIT_S,
    SHED_WAIT_S,
    WAIT_WINDOW_S,
)
from transcriber.metrics import Metrics  # noqa: E402

LIFECYCLE_HEAD = """\
# The life of a bot

Each change is an event on the stream `earshot:status:<connectionId>`, the terminal one exactly once. Why a bot ended:
[exit codes](exit-codes.md). (Generated from the table in `bot/core/lifecycle.py` by `tools/generate_docs.py`.)

"""

EXIT_CODES_HEAD = """\
# Why a bot ended: exit codes and sub-codes

The exit code says whose turn it is; the sub-code (`code` in the terminal status event and the log) says what happened.
Sub-codes may be added, never removed or renamed. (Generated from `common/contracts/status.py` by
`tools/generate_docs.py`.)

| Exit code | Sub-code | Terminal status | What happened | What to do |
|---:|---|---|---|---|
"""

ENDINGS_HEAD = """
## What a manager is told

Terminal status and `completion_reason` of the [status callback](managers.md), by the manager's generation; `reason` is
the sub-code itself. (From `common/contracts/generations.py`.)

| Sub-code | v0.6, v0.9 | v0.10 | v0.12 | v0.12, before `active` |
|---|---|---|---|---|
"""

METRICS_HEAD = """\
# What the transcriber counts

`GET :9091/metrics`, for Prometheus. A histogram has `_bucket`, `_sum` and `_count`; the `process_*` series are those of
the server's process; the model has another. (Generated from `transcriber/metrics.py` by `tools/generate_docs.py`.)

A [streaming engine](transcriber-engines.md) decodes by itself: it moves connections, audio, `backlog_seconds`,
`streams_lost` and `flush_timeouts`; all that is about passes, decodings, partials, finals, lateness and load is 0.
With `--engine openai` a decoding is a call with its retries, and a restart a lost server that is there again.

| Series | Kind | Labels | |
|---|---|---|---|
"""

BOT_METRICS_HEAD = """\
# What a bot counts

`GET /metrics` of its [health endpoint](operations.md), for Prometheus. A histogram has `_bucket`, `_sum` and `_count`;
the `process_*` series are those of its process. (Generated from `bot/metrics.py` by `tools/generate_docs.py`.)

| Series | Kind | Labels | |
|---|---|---|---|
"""

BOT_METRICS_TAIL = """
Where does the time go between a word and its place in Redis? 95 % of each stage within:

    histogram_quantile(0.95, sum by (le, stage) (rate(bot_stage_seconds_bucket[5m])))

Is anything held up?

    bot_outbox_age_seconds > 5 or bot_link_up == 0

Is a bot in a meeting and hears nothing at all?

    bot_state{state="active"} == 1 and bot_since_audio_seconds > 60
"""

LOAD_HEAD = f"""\
# What the transcriber leaves out under load

Audio and finals are never given up. First finals are hurried: where a model has shorter
[windows](transcriber.md#windows) for some languages only, those in others get the shortest of these, too, while several
passes are due, one has been for {HURRY_WAIT_S:g} s, or the level is above 0. Beside them, step by step: while the
95th percentile of how long passes wait for the model, over {WAIT_WINDOW_S:g} s, is more than \
{SHED_WAIT_S:g} s, one level up every {LEVEL_HOLD_S:g} s; \
once it has been less than
{RESTORE_WAIT_S:g} s for {RESTORE_HOLD_S:g} s, one level down every {LEVEL_HOLD_S:g} s. \
Where the model is so slow that fewer than
{MIN_WAITS} passes begin in {WAIT_WINDOW_S:g} s: one level up after each {WAIT_WINDOW_S:g} s \
in which there was always one that
had waited for {SHED_WAIT_S:g} s.
The level is in `/health` and `/metrics`. (Generated from `transcriber/core/load.py` by `tools/generate_docs.py`.)

| Level | Partial after speech of | Partials hear | A pause is decoded at once | New clients |
|---:|---|---|---|---|
"""

METRICS_TAIL = """
Do finals come in time? 95 % of them within:

    histogram_quantile(0.95, sum by (le) (rate(transcriber_final_latency_seconds_bucket[5m])))

How busy is the model? Calls under way on average, of at most `--parallel`:

    sum(rate(transcriber_decoding_seconds_sum[5m]))

Is anything left out, or lost?

    transcriber_level > 0 or increase(transcriber_utterances_lost_total[1h]) > 0

Does somebody try keys?

    rate(transcriber_refused_total{reason="key"}[5m]) > 0
"""


RELIABILITY_HEAD = """\
# What is promised under faults, and what was measured

Each row is a fault. The tests in `tests/faults/test_chain_*.py` do it to real processes: a meeting in which two people
say numbered utterances at the same time, as tones (a rehearsal room over WebRTC, or a room of a real livekit-server), a
bot, a transcriber with its engine process, a redis-server. Two things are scripted: the ears of bot and transcriber
take what is loud for speech, and the engine takes tones for words. Each of them ends with the same audit: all that was
said is stored exactly once, in order, under the right name; no id twice; one end; no lock, process or file left; no
secret anywhere. The moment of the fault is chance, of a seed that the test run prints. `make test` runs each once, with
short outages; `make faults` five times, with outages as long as they stand here. Excused are: where more wants to run
than there are cores, a time may be so much longer, at most five times; an utterance that the *sender* took 0.6 s too
long to say, or had nothing to send of for 0.1 s, may be heard in part; and where the meeting itself is cut (16) what
the bot says that it missed, no longer than outages and returns. Nothing else may be lost.

"""

RELIABILITY_TAIL = """
Numbers are the worst of all rounds, unless they say otherwise. (Generated from `tests/faults/promises.py` and
`bench/faults.json` by `tools/generate_docs.py`.)

Hours instead of minutes: [bench/soak.md](../bench/soak.md).
"""


def reliability() -> str:
    """The promises of `tests.faults.promises` beside what `bench/faults.json` says of their tests, as Markdown."""
    found = json.loads((ROOT / "bench" / "faults.json").read_text(encoding="utf-8"))
    total = found["total"]
    skipped = f", {total['skipped']} skipped" if total.get("skipped") else ""
    note = f"; {found['note']}" if found["note"] else ""
    run = (
        f"Measured {found['date']}: {found['rounds']} rounds (seeds from {found['first_seed']}), {found['workers']} "
        f"tests at a time on {found['cores']} cores, {found['minutes']} minutes{note}. "
        f"{total.get('passed', 0)} runs passed, {total.get('failed', 0)} failed{skipped}.\n\n"
        f"{''.join(map(_again, found.get('again', [])))}"
        "| # | Fault | Promise | Shown by | Passed | Measured |\n|---|---|---|---|---:|---|\n"
    )
    return (
        RELIABILITY_HEAD + run + "\n".join(_promise(promise, found) for promise in PROMISES) + "\n" + RELIABILITY_TAIL
    )


def _again(later: dict[str, Any]) -> str:
    """Which tests' numbers are not those of the whole run."""
    names = ", ".join(f"`{test.rpartition('::')[2]}`" for test in later["tests"])
    note = f", {later['note']}" if later["note"] else ""
    return (
        f"Run by themselves {later['date']} ({later['rounds']} rounds, {later['workers']} at a time, load "
        f"{later['load_before']}{note}), and counted from then: {names}.\n\n"
    )


def _promise(promise: Promise, found: dict[str, Any]) -> str:
    """A row of that table."""
    tests = [f"[{test.rpartition('::')[2]}](../{test.partition('::')[0]})" for test in promise.tests]
    runs = [found["tests"].get(test, {}) for test in promise.tests]
    passed = sum(run.get("passed", 0) for run in runs)
    tried = passed + sum(run.get("failed", 0) for run in runs)
    values = [
        measure.words.format(measure.of(numbers))
        for measure in promise.measures
        if (numbers := found["numbers"].get(measure.test, {}).get(measure.name))
    ]
    shown = ", ".join([*tests, *([promise.instead] if promise.instead else [])])
    score = f"{passed} of {tried}" if tried else "–"
    return f"| {promise.fault} | {promise.what} | {promise.promise} | {shown} | {score} | {'; '.join(values)} |"


def metrics(all_series: Iterable[Series]) -> str:
    """A table of series as Markdown."""
    rows = [
        f"| `{series.name}` | {series.kind} | {', '.join(f'`{label}`' for label in series.labels)} | {series.meaning} |"
        for series in all_series
    ]
    return "\n".join(rows) + "\n"


def load() -> str:
    """The ladder of `transcriber.core.load` as Markdown."""
    rows = [
        f"| {level} | {f'{effort.cadence / 16_000:g} s' if effort.partials else 'no partials'} "
        f"| {('the last two committed words on' if effort.trim else 'the utterance') if effort.partials else '–'} "
        f"| {'yes' if effort.eager else 'no'} | {'yes' if effort.admit else 'told to wait'} |"
        for level, effort in enumerate(LADDER)
    ]
    return LOAD_HEAD + "\n".join(rows) + "\n"


def exit_codes() -> str:
    """The table of `common.contracts.status.MEANINGS` as Markdown."""
    rows = [
        f"| {meaning.exit_code} | `{code}` | {'completed' if meaning.completed else 'failed'} "
        f"| {meaning.means} | {meaning.remedy} |"
        for code, meaning in MEANINGS.items()
    ]
    return EXIT_CODES_HEAD + "\n".join(rows) + "\n" + ENDINGS_HEAD + "\n".join(map(_endings, MEANINGS)) + "\n"


def _endings(code: SubCode) -> str:
    """A sub-code in the words of each generation of managers, as a row."""
    told = [ending(generation, code, True) for generation in Generation]
    told.append(ending(Generation.V12, code, False))
    return f"| `{code}` | {' | '.join(f'{state}, `{reason}`' if reason else state for state, reason in told)} |"


def generated() -> dict[str, str]:
    """Path in the repository → its text."""
    return {
        "configs/bot.schema.json": json.dumps(json_schema(), indent=2) + "\n",
        "docs/exit-codes.md": exit_codes(),
        "docs/transcriber-load.md": load(),
        "docs/transcriber-metrics.md": METRICS_HEAD + metrics(Metrics().series) + METRICS_TAIL,
        "docs/bot-metrics.md": BOT_METRICS_HEAD + metrics(BotMetrics().series) + BOT_METRICS_TAIL,
        "docs/reliability.md": reliability(),
        "docs/lifecycle.md": f"{LIFECYCLE_HEAD}```mermaid\n{mermaid()}```\n",
    }


if __name__ == "__main__":
    for path, text in generated().items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(path)
