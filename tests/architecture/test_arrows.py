"""Which module may import which: the two planes are pure, and arrows point inward."""

from __future__ import annotations

import sys

import pytest

from tests.support.source import imports, modules

PURE = ("bot.core", "bot.audio", "transcriber.core", "transcriber.protocol", "transcriber.wire")
FORBIDDEN_IN_PURE = {
    "asyncio", "concurrent", "http", "io", "multiprocessing", "os", "pathlib", "queue", "random", "secrets", "select",
    "shutil", "signal", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
EXCEPTIONS = {"bot.audio.opus": {"os", "pathlib", "sys"}}
"""opus.py finds and calls libopus: a pure computation in a native library."""

INWARD: dict[str, tuple[str, ...]] = {
    "bot.core": ("bot.core",),
    "bot.audio": ("bot.core", "bot.audio"),
    "bot.platforms": (
        *("bot.core", "bot.audio", "bot.platforms", "bot.drivers"),
        *("bot.config", "bot.rehearsal", "bot.ops.redact"),
    ),
    "bot.drivers": ("bot.core", "bot.audio", "bot.platforms.base", "bot.drivers"),
    "bot.links": ("bot.core", "bot.audio", "bot.links", "bot.config", "bot.ops", "transcriber.protocol"),
    "transcriber.core": ("transcriber.core", "transcriber.protocol"),
    "transcriber.protocol": ("transcriber.wire",),
    "transcriber.wire": (),
    "transcriber.engine": ("transcriber.engine", "transcriber.core", "transcriber.config", "transcriber.logs"),
}
BOT_MAY_SEE = ("transcriber.protocol", "transcriber.engine.silero")


def is_inside(name: str, package: str) -> bool:
    """Whether `name` is `package` or lies in it."""
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("name", [name for name in modules() if any(is_inside(name, pure) for pure in PURE)])
def test_pure_modules_touch_nothing_outside(name: str) -> None:
    """No clock, task, socket, file or randomness: the standard library's pure part, numpy and pure modules only."""
    allowed = EXCEPTIONS.get(name, set())
    for imported in imports(modules()[name]):
        top = imported.partition(".")[0]
        assert top not in FORBIDDEN_IN_PURE - allowed, f"{name} imports {imported}"
        known = top in sys.stdlib_module_names or top == "numpy" or any(is_inside(imported, pure) for pure in PURE)
        assert known, f"{name} imports {imported}"


@pytest.mark.parametrize("name", list(modules()))
def test_arrows_point_inward(name: str) -> None:
    """A layer imports only what lies further in; the bot sees two modules of the transcriber, and never the reverse."""
    rule = next((allowed for package, allowed in INWARD.items() if is_inside(name, package)), None)
    for imported in imports(modules()[name]):
        if name.startswith("transcriber"):
            assert not is_inside(imported, "bot"), f"{name} imports {imported}"
        elif is_inside(imported, "transcriber"):
            assert imported in BOT_MAY_SEE, f"{name} imports {imported}"
        if rule is not None and imported.partition(".")[0] in ("bot", "transcriber"):
            assert any(is_inside(imported, package) for package in rule), f"{name} imports {imported}"


def test_only_the_runner_and_the_demo_wire_the_planes() -> None:
    """Nobody else brings platforms, links and the audio plane together."""
    for name, tree in modules().items():
        seen = {
            package for package in ("bot.links", "bot.audio.hearing") for i in imports(tree) if is_inside(i, package)
        }
        assert len(seen) < 2 or name == "bot.runner", name
