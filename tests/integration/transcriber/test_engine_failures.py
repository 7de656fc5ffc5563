"""The engine in its own process, when its calls fail: whose fault it is, and what becomes of the engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.transcriber.test_engine_process import engine, said, tries, where
from tests.support.fakes.scripted_engine import tone
from tests.support.processes import engines
from tests.support.waiting import eventually
from transcriber.core.windows import Window
from transcriber.engine.base import EngineFailed, EngineLost
from transcriber.engine.process import MAX_FAILURES

pytestmark = [pytest.mark.processes, pytest.mark.slow]


async def test_an_answer_that_is_none_costs_its_call_alone() -> None:
    """Of an engine of one's own: nothing, too few, another type, no text; what it is of is said, and no word of it."""
    async with engine() as decoder:
        [first] = engines()
        for name, named in (
            ("none", "NoneType in the place of 1 hypotheses"), ("few", "list of 0"), ("str", "str in the place"),
            ("text", "a text that is none"), ("type", "Own in the place"),
        ):  # fmt: skip
            with pytest.raises(EngineFailed, match=named) as failed:
                await decoder.decode([said("alpha", f"odd {name}")])
            assert "secret" not in str(failed.value)
        assert where(await decoder.decode([said()]))[0] == first


async def test_an_engine_whose_every_call_fails_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an error of a GPU, which stays: it cannot decode silence either, and the call is lost, not refused.

    The next one is not taken either until it can: its warm-up fails.
    """
    monkeypatch.setattr("transcriber.engine.process.RESTART_PAUSES_S", (0.1, 0.1))
    (model := tmp_path / "model").write_text("ok", encoding="utf-8")
    async with engine("tests.support.engines:sick", model=str(model)) as decoder:
        first, _ = where(await decoder.decode([said()]))
        assert (decoder.is_up, decoder.is_failing) == (True, False)
        model.write_text("sick", encoding="utf-8")
        with pytest.raises(EngineLost, match=r"every call fails, the last with RuntimeError: CUDA error"):
            await decoder.decode([said()])
        waiting = asyncio.create_task(decoder.decode([said("bravo")]))
        await eventually(lambda: tries(model) >= 3, 10)
        assert (decoder.is_up, decoder.is_failing, waiting.done()) == (False, True, False)
        model.write_text("ok", encoding="utf-8")
        heard = await waiting
        assert (heard[0].text, where(heard)[0] != first) == ("bravo", True)
        assert (decoder.is_up, decoder.is_failing) == (True, False)


async def test_an_engine_that_can_decode_only_silence_is_replaced_after_ten_failures() -> None:
    """In a row: one result between them says that it was the windows' fault."""
    restarts: list[None] = []
    async with engine(on_restart=lambda: restarts.append(None)) as decoder:
        for failures in (MAX_FAILURES - 1, MAX_FAILURES):
            assert (await decoder.decode([said()]))[0].text == "alpha"
            for _ in range(failures):
                with pytest.raises(EngineFailed):
                    await decoder.decode([said("alpha", "raise boom")])
        assert (await decoder.decode([said()]))[0].text == "alpha"
        assert (len(restarts), decoder.is_failing) == (1, False)


async def test_finals_that_all_fail_are_noticed_though_partials_work() -> None:
    """As for want of memory: the engine is replaced, and the new one is ill from its first failure to a final."""
    restarts: list[None] = []
    failing = Window(tone("alpha"), prompt="raise CUDA failed with error out of memory", careful=True)
    async with engine(on_restart=lambda: restarts.append(None)) as decoder:
        for _ in range(MAX_FAILURES):
            assert (len(restarts), decoder.is_failing) == (0, False)
            await decoder.decode([said()])
            with pytest.raises(EngineFailed):
                await decoder.decode([failing])
        await decoder.decode([said()])
        assert (len(restarts), decoder.is_failing) == (1, False)
        with pytest.raises(EngineFailed):
            await decoder.decode([failing])
        await decoder.decode([said()])
        assert (decoder.is_up, decoder.is_failing) == (True, True)
        await decoder.decode([Window(tone("alpha"), careful=True)])
        assert (decoder.is_up, decoder.is_failing) == (True, False)


async def test_an_engine_that_can_decode_nothing_carefully_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is tried after a failure is silence of the same kind: at the first one it is known."""
    monkeypatch.setattr("transcriber.engine.process.RESTART_PAUSES_S", (0.1, 0.1))
    (model := tmp_path / "model").write_text("ok", encoding="utf-8")
    async with engine("tests.support.engines:sick", model=str(model)) as decoder:
        model.write_text("hurried", encoding="utf-8")
        await decoder.decode([said()])
        with pytest.raises(EngineLost, match="CUDA error"):
            await decoder.decode([Window(tone("alpha"), careful=True)])
        assert (decoder.is_up, decoder.is_failing) == (False, True)
        model.write_text("ok", encoding="utf-8")
        await decoder.started()
        assert not decoder.is_failing
