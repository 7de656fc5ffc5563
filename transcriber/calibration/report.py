"""Report of a calibration, for people and for the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from transcriber.calibration.choice import Choice, Score
from transcriber.calibration.speech import MIN_WORDS
from transcriber.engine.batches import FRAMES_PER_S
from transcriber.engine.window_sizes import FULL_WINDOW_FRAMES

OTHERWISE = f"in languages with less than {MIN_WORDS} words here the full window"


def table(choice: Choice, paddings: Sequence[Score], unit: str) -> Table:
    """Both paddings in the full window; then finals by language, and partials: every floor with the margin that was
    chosen, and the other margins with the floor that was."""
    shown = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, collapse_padding=True)
    for title in ("", "at least", "margin", "padding", "errors", "", "astray", unit, ""):
        shown.add_column(title, justify="right" if title else "left", no_wrap=True)
    for score in paddings:
        shown.add_row(*_cells(score), "←" if score.padding == choice.padding else "")
    for language in (*choice.careful, None):
        shown.add_section()
        for score in choice.scores:
            is_full = score.floor == FULL_WINDOW_FRAMES
            is_shown = score.margin == choice.margin or (score.floor == choice.floor(language) and not is_full)
            if score.language == language and is_shown:
                shown.add_row(*_cells(score), "←" if choice.is_chosen(score) else "")
    return shown


def sentence(choice: Choice) -> str:
    """What was chosen, and what it costs beside full windows."""
    chosen = [score for score in choice.scores if choice.is_chosen(score)]
    full = [score for score in choice.scores if score.floor == FULL_WINDOW_FRAMES and score.margin == choice.margin]
    time, whole = (sum(score.cost * score.passes for score in scores) for scores in (chosen, full))
    finals = [f"in {language} {_seconds(floor)}" for language, floor in choice.careful.items()]
    return (
        f"Chosen: partials at least {_seconds(choice.partial)}, finals {', '.join([*finals, OTHERWISE])}, "
        f"margin {_seconds(choice.margin)}, padding {_padding(choice.padding)}. "
        f"That takes {time / whole:.0%} of the time of full windows."
    )


def measured(choice: Choice) -> dict[str, Any]:
    """What the file says about the sizes that were chosen."""
    full = {score.language: score for score in choice.scores if score.floor == FULL_WINDOW_FRAMES}
    found = {score.language: _counts(score, full[score.language]) for score in choice.scores if choice.is_chosen(score)}
    return {"partials": found.pop(None), "finals": found}


def _counts(score: Score, full: Score) -> dict[str, int]:
    return {
        "passes": score.passes,
        "words": score.words,
        "errors": score.errors,
        "errors_full_window": full.errors,
        "astray": score.astray,
        "astray_full_window": full.astray,
    }


def _cells(score: Score) -> tuple[str, ...]:
    return (
        f"final {score.language or ''}".strip() if score.careful else "partial",
        _seconds(score.floor),
        "–" if score.floor == FULL_WINDOW_FRAMES else _seconds(score.margin),
        _padding(score.padding),
        f"{score.errors} of {score.words}",
        f"{score.errors / max(1, score.words):.1%}",
        f"{score.astray} of {score.passes}",
        f"{score.cost:.0f}",
    )


def _seconds(frames: int) -> str:
    return f"{frames / FRAMES_PER_S:g} s"


def _padding(value: float | None) -> str:
    return "silence" if value is None else "zeros" if value == 0 else f"{value:g}"
