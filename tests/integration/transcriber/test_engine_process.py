"""The engine in its own process: answers, errors, crashes, hangs, ends; and that nothing of it is left behind."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.fakes.scripted_engine import tone
from tests.support.guides import program
from tests.support.processes import ended, engines, is_gone
from tests.support.waiting import eventually
from transcriber.config import Settings
from transcriber.core.limits import CALL_FACTOR, DRAIN_PASSES
from transcriber.core.windows import Hypothesis, Window
from transcriber.engine.base import EngineFailed, EngineLost, ModelError
from transcriber.engine.process import EngineProcess

pytestmark = [pytest.mark.processes, pytest.mark.slow]
SCRIPTED = "tests.support.engines:scripted"
ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def engine(
    factory: str = SCRIPTED, *, model: str = "scripted", parallel: int = 1,
    on_restart: Callable[[], None] = lambda: None,
) -> AsyncIterator[EngineProcess]:  # fmt: skip
    """An engine that is up; after the block no process, file or task of it is left."""
    before = open_files()
    settings = Settings(model=model, engine=factory, parallel=parallel, log_level="error")
    decoder = EngineProcess(settings, on_restart=on_restart)
    running = asyncio.create_task(decoder.run())
    starting = asyncio.create_task(decoder.started())
    try:
        await asyncio.wait((running, starting), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        yield decoder
    finally:
        began = asyncio.get_running_loop().time()
        for task in (starting, running):
            task.cancel()
        await asyncio.gather(starting, running, return_exceptions=True)
        assert asyncio.get_running_loop().time() - began < 3  # a moment, also on a busy machine
        assert not engines()
        assert not open_files() - before


def open_files() -> set[str]:
    """What this process has: a kind and a number of each socket and pipe, or a path."""
    files = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that lists them
            files.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return files


def said(word: str = "alpha", script: str | None = None) -> Window:
    """A window with a word, and what its engine is to do."""
    return Window(tone(word), prompt=script)


def where(hypotheses: list[Hypothesis]) -> tuple[int, str]:
    """Process and thread that decoded."""
    pid, _, thread = (hypotheses[0].language or "").partition(" ")
    return int(pid), thread


async def test_windows_are_decoded_in_another_process() -> None:
    """In their order, 15 s of audio included; the engine's name, languages and batch size are known here."""
    async with engine() as decoder:
        assert (decoder.name, decoder.languages, decoder.batch, decoder.parallel) == (
            *("scripted", frozenset({"en", "de"})),
            *(3, 1),
        )
        windows = [said("alpha"), Window(np.tile(tone("bravo", 0.5), 30)), Window(np.zeros(0, np.int16))]
        heard = await decoder.decode(windows)
        assert [hypothesis.text for hypothesis in heard] == ["alpha", "bravo", ""]
        assert engines() == [where(heard)[0]]
        assert decoder.is_up


async def test_the_guides_engine_works_word_by_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saved as it stands on the page, and named."""
    saved = program("transcriber-engines.md", "An engine of your own on windows")
    (tmp_path / "your_module.py").write_text(saved, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    async with engine("your_module:load") as decoder:
        assert (decoder.name, decoder.languages) == ("loudness", frozenset({"en"}))
        assert await decoder.decode([said()]) == [Hypothesis("8000", language="en")]


async def test_calls_run_in_parallel_and_answers_find_their_calls() -> None:
    """As many at once as there are threads; the others wait their turn."""
    async with engine(parallel=2) as decoder:
        began = asyncio.get_running_loop().time()
        calls = [decoder.decode([said(word, script)]) for word, script in (
            ("alpha", "sleep 0.9"), ("bravo", "sleep 0.2"), ("charlie", "sleep 0.2"), ("delta", "sleep 0.2"),
        )]  # fmt: skip
        heard = await asyncio.gather(*calls)
        assert 0.9 <= asyncio.get_running_loop().time() - began < 1.5  # one after the other
        assert [hypotheses[0].text for hypotheses in heard] == ["alpha", "bravo", "charlie", "delta"]
        assert len({where(hypotheses) for hypotheses in heard}) == 2


async def test_an_exception_costs_its_call_alone() -> None:
    """The engine goes on; the error has its message only where that cannot quote what was said."""
    async with engine(parallel=2) as decoder:
        other = asyncio.create_task(decoder.decode([said("bravo", "sleep 0.2")]))
        with pytest.raises(EngineFailed, match=r"RuntimeError: out of luck \(engines\.py:\d+ in transcribe\)"):
            await decoder.decode([said("alpha", "raise out of luck")])
        with pytest.raises(EngineFailed, match=r"^KeyError \(engines\.py") as failed:
            await decoder.decode([said("alpha", "quote secret words")])
        assert "secret" not in str(failed.value)
        assert where(await other)[0] == where(await decoder.decode([said()]))[0]


@pytest.mark.parametrize(
    ("script", "named"),
    [("exit 5", "exit code 5"), ("kill", r"SIGKILL.*memory.*smaller --model"), ("crash", "SIGSEGV")],
)
async def test_an_engine_that_dies_is_replaced(script: str, named: str, capfd: pytest.CaptureFixture[str]) -> None:
    """At once; the calls that were with it are lost, and later ones wait for the new one."""
    restarts: list[None] = []
    async with engine(parallel=2, on_restart=lambda: restarts.append(None)) as decoder:
        [first] = engines()
        others = asyncio.create_task(decoder.decode([said("bravo", "sleep 10")]))
        await asyncio.sleep(0.05)
        began = asyncio.get_running_loop().time()
        with pytest.raises(EngineLost, match=named):
            await decoder.decode([said("alpha", script)])
        assert asyncio.get_running_loop().time() - began < 3  # not after a stall, which is 30 s
        with pytest.raises(EngineLost, match=named):
            await others
        assert (decoder.is_up, restarts) == (False, [])
        pid, _ = where(await decoder.decode([said()]))
        assert [pid] == engines() != [first]
        assert len(restarts) == 1
    if script == "crash":
        assert "in transcribe" in capfd.readouterr().err


async def test_an_idle_engine_that_dies_is_replaced() -> None:
    """Before anybody asks for it."""
    async with engine() as decoder:
        [first] = engines()
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: not decoder.is_up)
        await decoder.started()
        assert engines() != [first]
        assert where(await decoder.decode([said()]))[0] in engines()


async def test_an_engine_that_hangs_is_replaced(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time is up, with a note where its threads were; never two of them."""
    monkeypatch.setattr("transcriber.core.limits.MIN_CALL_S", 0.5)
    async with engine(parallel=2) as decoder:
        [first] = engines()
        quick = [asyncio.create_task(decoder.decode([said("bravo")])) for _ in range(3)]
        with pytest.raises(EngineLost, match=r"no answer within 0\.\d s"):
            await decoder.decode([said("alpha", "sleep 60")])
        assert [where(await call)[0] for call in quick] == [first] * 3
        waiting = asyncio.create_task(decoder.decode([said()]))
        while not decoder.is_up:
            assert len(engines()) <= 1
            await asyncio.sleep(0.01)
        assert where(await waiting)[0] == engines()[0] != first
    log = capfd.readouterr().err
    assert "Fatal Python error: Aborted" in log
    assert "engines.py" in log


@pytest.mark.parametrize("how", ["stopped", "seized"])
async def test_an_engine_that_can_do_nothing_counts_as_hung(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGSTOP, when it cannot even say where its threads are; native code that lets no Python thread run."""
    monkeypatch.setattr("transcriber.core.limits.MIN_CALL_S", 0.3)
    async with engine() as decoder:
        [first] = engines()
        if how == "stopped":
            os.kill(first, signal.SIGSTOP)
        with pytest.raises(EngineLost):
            await decoder.decode([said("alpha", "seize 60")])
        assert where(await decoder.decode([said()]))[0] != first


async def test_a_call_that_hangs_counts_even_if_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller has left; the thread is stuck all the same. One that comes back in time does no harm."""
    monkeypatch.setattr("transcriber.core.limits.MIN_CALL_S", 0.5)
    async with engine() as decoder:
        [first] = engines()
        for script in ("sleep 0.1", "sleep 60"):
            call = asyncio.create_task(decoder.decode([said("alpha", script)]))
            await asyncio.sleep(0.05)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await asyncio.sleep(0.1)
        assert where(await decoder.decode([said()]))[0] != first


@pytest.mark.parametrize(("factory", "windows"), [("deliberate", 3), ("hoarding", 9)])
async def test_limits_fit_what_the_warm_up_took(
    monkeypatch: pytest.MonkeyPatch, factory: str, windows: int
) -> None:  # fmt: skip
    """An engine that takes 0.3 s per call has 3.6 s for a window, three times that for three; those of recordings
    count, too."""
    for name in ("MIN_CALL_S", "MIN_DRAIN_S"):
        monkeypatch.setattr(f"transcriber.core.limits.{name}", 0.0)
    async with engine(f"tests.support.engines:{factory}") as decoder:
        assert decoder.limits.call >= CALL_FACTOR * windows * 0.3
        assert decoder.limits.drain >= DRAIN_PASSES * 2 * 0.3


async def test_fetching_a_model_makes_nobody_more_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first start may take ten minutes for that; the next ones have it, so nothing may take longer for it."""
    monkeypatch.setattr("transcriber.core.limits.MIN_REPLACEMENT_S", 0.0)
    async with engine("tests.support.engines:fetched") as decoder:
        assert decoder.limits.replacement == 0


async def test_a_waiting_call_can_be_cancelled() -> None:
    """Its place goes to the next one."""
    async with engine() as decoder:
        os.kill(engines()[0], signal.SIGKILL)
        await eventually(lambda: not decoder.is_up)
        waiting = asyncio.create_task(decoder.decode([said()]))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert (await decoder.decode([said("bravo")]))[0].text == "bravo"


async def test_stopping_ends_calls_under_way() -> None:
    """Whoever still waits hears of it."""
    async with engine() as decoder:
        call = asyncio.create_task(decoder.decode([said("alpha", "sleep 60")]))
        await asyncio.sleep(0.05)
    with pytest.raises(EngineLost, match="stopping"):
        await call


@pytest.mark.parametrize(
    ("factory", "model", "named"),
    [
        ("tests.support.engines:broken", "m", "TypeError: no engine for m"),
        ("tests.support.engines:missing", "m", "missing"),
        ("tests.support.engines:mute", "m", "EngineFailed: the engine gave NoneType"),
        ("tests.support.engines:partial", "m", r"`batch` \(1 or more\) is 0, `full_batch` \(1 or more\) is None"),
        ("tests.support.nowhere:missing", "m", "nowhere"),
        ("tests.support.engines:from_file", "a problem for people", "a problem for people"),
        ("tests.support.engines:from_file", "exit", "exit code 7"),
    ],
)
async def test_an_engine_that_cannot_be_had_is_an_error(factory: str, model: str, named: str, tmp_path: Path) -> None:
    """With what the engine said about it."""
    (tmp_path / "model").write_text(model, encoding="utf-8")
    with pytest.raises(ModelError, match=named):
        async with engine(factory, model=str(tmp_path / "model") if "file" in factory else model):
            pass


async def test_a_machine_that_is_full_is_an_error_at_first_and_a_pause_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process or file to be had: said to people who start it, waited out by one that serves."""
    monkeypatch.setattr("transcriber.engine.process.RESTART_PAUSES_S", (0.1, 0.2))
    is_full = True

    async def start(*arguments: Any, **options: Any) -> Any:
        if is_full:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return await execute(*arguments, **options)

    execute = asyncio.create_subprocess_exec
    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    with pytest.raises(ModelError, match=r"temporarily unavailable.*limits"):
        async with engine():
            pass
    is_full = False
    async with engine() as decoder:
        is_full = True
        os.kill(engines()[0], signal.SIGKILL)
        await eventually(lambda: not decoder.is_up)
        await asyncio.sleep(0.5)
        assert not decoder.is_up
        is_full = False
        assert (await decoder.decode([said()]))[0].text == "alpha"


def tries(model: Path) -> int:
    """How often it was to be loaded."""
    return len(model.with_suffix(".tries").read_text(encoding="utf-8").splitlines())


async def test_a_model_that_has_become_unusable_is_tried_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With longer and longer pauses; until then `decode` waits."""
    monkeypatch.setattr("transcriber.engine.process.RESTART_PAUSES_S", (0.1, 0.2))
    (model := tmp_path / "model").write_text("ok", encoding="utf-8")
    async with engine("tests.support.engines:from_file", model=str(model)) as decoder:
        model.write_text("gone", encoding="utf-8")
        with pytest.raises(EngineLost):
            await decoder.decode([said("alpha", "exit 1")])
        waiting = asyncio.create_task(decoder.decode([said()]))
        for says in ("gone", "exit", "gone"):
            assert not decoder.is_up
            model.write_text(says, encoding="utf-8")
            before = tries(model)
            await eventually(lambda seen=before: tries(model) > seen)  # type: ignore[misc]
        model.write_text("ok", encoding="utf-8")
        assert (await waiting)[0].text == "alpha"


async def test_an_engine_that_hangs_while_it_loads_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one: the first may be fetching its model."""
    monkeypatch.setattr("transcriber.core.limits.MIN_START_S", 0.5)
    monkeypatch.setattr("transcriber.engine.process.RESTART_PAUSES_S", (0.1, 0.1))
    (model := tmp_path / "model").write_text("ok", encoding="utf-8")
    async with engine("tests.support.engines:from_file", model=str(model)) as decoder:
        model.write_text("hang", encoding="utf-8")
        os.kill(engines()[0], signal.SIGKILL)
        await eventually(lambda: tries(model) == 2, 10)
        model.write_text("ok", encoding="utf-8")  # too late for the one that hangs
        assert (await decoder.decode([said()]))[0].text == "alpha"
        assert tries(model) >= 3


async def test_a_first_start_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows how long a model takes to come over the network; an hour is enough."""
    monkeypatch.setattr("transcriber.engine.process.FIRST_START_S", 0.3)
    with pytest.raises(ModelError, match=r"not ready within 0\.3 s.*smaller --model"):
        async with engine("tests.support.engines:slow"):
            pass


async def test_stopping_while_it_loads_does_not_wait() -> None:
    """`run` is cancelled; the helper checks that the process is gone within a second."""
    decoder = EngineProcess(Settings(engine="tests.support.engines:slow"))
    running = asyncio.create_task(decoder.run())
    await eventually(engines)
    await asyncio.sleep(0.2)
    began = asyncio.get_running_loop().time()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert asyncio.get_running_loop().time() - began < 1
    assert not engines()


async def test_what_the_engine_prints_is_not_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    """That is for the ready line; and Ctrl-C, which goes to all processes of a terminal, is not its business."""
    async with engine() as decoder:
        [pid] = engines()
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        assert where(await decoder.decode([said("alpha", "print chatter")]))[0] == pid
    output = capfd.readouterr()
    assert (output.out, "chatter" in output.err) == ("", True)


PARENT = """
import asyncio, sys
from transcriber.config import Settings
from common.logging import configure_logging
from transcriber.service import run
configure_logging("error")
asyncio.run(run(Settings(model="m", port=0, http_port=0, engine=sys.argv[1])))
"""


@asynccontextmanager
async def parent(factory: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A whole transcriber with a scripted engine."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, factory, cwd=ROOT, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    async with ended(process):
        yield process


async def child_of(process: asyncio.subprocess.Process) -> int:
    """Its engine's process, which is busy loading or ready."""
    await eventually(lambda: engines(process.pid), 25)  # on a machine with much to do an import takes seconds
    [child] = engines(process.pid)
    await eventually(lambda: len(os.listdir(f"/proc/{child}/task")) > 1, 25)
    await asyncio.sleep(0.2)
    return child


@pytest.mark.parametrize("factory", [SCRIPTED, "tests.support.engines:slow", "tests.support.engines:seized"])
async def test_the_engine_ends_with_its_transcriber(factory: str) -> None:
    """kill -9, also while the engine is being loaded: the child is gone as well."""
    async with parent(factory) as process:
        async with asyncio.timeout(30):
            if factory == SCRIPTED:
                assert process.stdout
                assert (await process.stdout.readline()).startswith(b"ws://")
            child = await child_of(process)
        process.kill()
        await eventually(lambda: is_gone(child))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_the_model_is_loading_ends_the_transcriber(number: signal.Signals) -> None:
    """At once, exit 0, and its engine with it."""
    async with parent("tests.support.engines:slow") as process:
        async with asyncio.timeout(30):
            child = await child_of(process)
        process.send_signal(number)
        async with asyncio.timeout(5):  # loading takes ten minutes
            assert await process.wait() == 0
        assert is_gone(child)


async def test_the_speech_model_is_in_the_engines_process_alone() -> None:
    """A crash in its native libraries cannot reach the sockets."""
    code = "import sys, transcriber.cli, transcriber.service; print(*sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT, stdout=PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    modules = output.decode().split()
    assert "transcriber.engine.process" in modules
    assert not {"ctranslate2", "faster_whisper", "tokenizers", "transcriber.engine.faster_whisper"} & set(modules)
