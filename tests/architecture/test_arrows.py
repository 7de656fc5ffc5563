"""Which module may import which: the two planes are pure, and arrows point inward."""

from __future__ import annotations

import ast
import re
import sys

from tests.support.source import ROOT, imports, modules, nodes

PARTS = ("bot", "rehearsal", "transcriber")
"""Programs of their own: none imports another. What two of them need is in `common`, which imports none."""
PURE = (
    *("common.contracts", "common.destinations.policy", "common.errors", "common.whisperlive", "common.audio"),
    *("bot.core", "bot.codecs", "bot.audio", "transcriber.core", "transcriber.calibration.choice"),
    *("bot.drivers.browser.evidence", "bot.drivers.rtmp.patience", "bot.drivers.rtmp.reasons"),
    *(f"bot.platforms.{pure}" for pure in ("differences", "janus.feeds", "mediasoup.peers", "mediasoup.sdp")),
    *(
        f"bot.platforms.pages.{pure}"
        for pure in ("acts", "contributors", "door", "flow", "lines", "look", "pack", "people", "stage")
    ),
    *(f"bot.links.transcriber.{pure}" for pure in ("answers", "conversation", "servers", "states")),
)
FORBIDDEN_IN_PURE = {
    "asyncio", "concurrent", "http", "io", "multiprocessing", "os", "pathlib", "queue", "random", "secrets", "select",
    "shutil", "signal", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
EXCEPTIONS = {
    "common.audio.opus": {"os", "pathlib", "sys"},
    "common.audio.silero": {"pathlib"},
}
"""Pure computations with something that has to be found and loaded: libopus, and the weights of a network."""

INWARD: dict[str, tuple[str, ...]] = {
    "common": ("common",),
    "bot.core": ("common.contracts", "common.audio.pcm", "bot.core"),
    "bot.codecs": ("common.audio", "bot.codecs"),
    "bot.audio": ("common.audio", "common.contracts", "bot.core", "bot.audio"),
    "bot.drivers": ("common", "bot.core", "bot.codecs", "bot.audio", "bot.settings", "bot.drivers"),
    "bot.settings": ("common", "bot.settings"),
    "bot.answers": ("common",),
    "bot.signatures": (),
    "bot.platforms": (
        *("common", "bot.core", "bot.codecs", "bot.audio", "bot.drivers", "bot.platforms"),
        *("bot.settings", "bot.answers", "bot.signatures"),
    ),
    "bot.links": ("common", "bot.core", "bot.audio", "bot.answers", "bot.signatures", "bot.links"),
    "bot.config": (
        *("common", "bot.core", "bot.settings", "bot.platforms", "bot.config"),
        "bot.drivers.browser.settings",
    ),
    "bot.metrics": ("common",),
    "bot.health_endpoint": ("common",),
    "bot.vitals": ("common", "bot.core", "bot.audio", "bot.metrics", "bot.health_endpoint"),
    "transcriber.core": ("common.contracts.languages", "common.whisperlive", "common.audio", "transcriber.core"),
    "transcriber.engine": ("common", "transcriber.engine", "transcriber.core", "transcriber.config"),
    "transcriber.audio_files": ("common",),
    "transcriber.calibration": (
        "common",
        "transcriber.calibration",
        "transcriber.engine",
        "transcriber.core",
        "transcriber.config",
        "transcriber.audio_files",
    ),
    "transcriber.sessions": ("common", "transcriber.core.windows"),
    "transcriber.streaming": ("common", "transcriber.sessions", "transcriber.config", "transcriber.engine.base"),
}


def is_inside(name: str, package: str) -> bool:
    """Whether `name` is `package` or lies in it."""
    return name == package or name.startswith(package + ".")


def test_pure_modules_touch_nothing_outside() -> None:
    """No clock, task, socket, file or randomness: the standard library's pure part, numpy and pure modules only."""
    problems = []
    for name, tree in modules().items():
        if not any(is_inside(name, pure) for pure in PURE):
            continue
        allowed = EXCEPTIONS.get(name, set())
        for imported in imports(tree):
            top = imported.partition(".")[0]
            known = (
                top in sys.stdlib_module_names
                or top in {"numpy", *allowed}
                or any(is_inside(imported, pure) for pure in PURE)
            )
            if not known or top in FORBIDDEN_IN_PURE - allowed:
                problems.append(f"{name} imports {imported}")
    assert not problems


def test_arrows_point_inward() -> None:
    """A part imports itself and `common`, a layer what lies further in; `common` imports no part."""
    problems = []
    for name, tree in modules().items():
        part = name.partition(".")[0]
        rule = next((allowed for package, allowed in INWARD.items() if is_inside(name, package)), (part, "common"))
        for imported in imports(tree):
            is_ours = imported.partition(".")[0] in (*PARTS, "common")
            if is_ours and not any(is_inside(imported, package) for package in rule):
                problems.append(f"{name} imports {imported}")
    assert not problems


def test_the_map_has_every_room() -> None:
    """ARCHITECTURE.md says of each module and folder of the bot, and each folder of `common`, what is in it."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    mapped = {name for cell in re.findall(r"(?m)^\| (`[^|]*)\|", page) for name in re.findall(r"`([\w/]+)", cell)}
    paths = [*(ROOT / "bot").iterdir(), *(path for path in (ROOT / "common").iterdir() if path.is_dir())]
    rooms = {path.relative_to(ROOT).with_suffix("").as_posix() for path in paths if path.name[0] not in "_."}
    rooms -= {"bot/py"}  # py.typed
    assert not {room for room in rooms if not {room, room.removeprefix("bot/")} & mapped}


def test_only_transcription_wires_the_audio_plane_to_its_links() -> None:
    """Nobody else brings links and the audio plane together."""
    for name, tree in modules().items():
        seen = {package for package in ("bot.links", "bot.audio.plane") for i in imports(tree) if is_inside(i, package)}
        assert len(seen) < 2 or name == "bot.transcription", name


WAITING_FOR_A_SECOND_PART = {
    "common.auth": "the gateway asks for keys as the transcriber does",
    "common.destinations.guard": "the manager sends nothing where a bot is not sent",
    "common.destinations.policy": "the manager takes meeting URLs from users as the bot does",
    "common.http": "the gateway and the manager serve HTTP as the transcriber does",
    "common.tls": "the gateway and the manager serve TLS as the transcriber does",
}
"""What is in `common` for parts that come next."""


def test_what_is_in_common_is_used_by_two_parts() -> None:
    """Directly or through another module of `common`; contracts are for whoever reads what a part writes."""
    users: dict[str, set[str]] = {}
    for name, tree in modules().items():
        for imported in imports(tree):
            users.setdefault(imported, set()).add(name)

    def parts(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        found = set()
        for user in users.get(name, set()) - seen:
            part = user.partition(".")[0]
            found |= parts(user, seen | {name}) if part == "common" else {part}
        return found

    lonely = {
        name for name, tree in modules().items() if is_inside(name, "common") and tree.body and len(parts(name)) < 2
    }
    assert {name for name in lonely if not is_inside(name, "common.contracts")} == set(WAITING_FOR_A_SECOND_PART)


KEY = re.compile(r"\{?(earshot:(status|lock|bot|lease):|tc:meeting:|bot_commands:|transcription_segments)")


def test_keys_of_redis_are_spelled_in_one_place() -> None:
    """Whoever needs a key or a channel asks `common.contracts.keys`."""
    for name, tree in modules().items():
        spelled = {str(node.value) for node in nodes(tree) if isinstance(node, ast.Constant)}
        assert name == "common.contracts.keys" or not any(map(KEY.match, spelled)), name


def test_the_sample_rate_is_written_once() -> None:
    """16 kHz stands in `common.audio.pcm`; what Silero takes at a time, in `common.audio.hysteresis`."""
    homes: dict[object, set[str]] = {16_000: set(), 512: set()}
    for name, tree in modules().items():
        for node in nodes(tree):
            if isinstance(node, ast.Constant) and type(node.value) is int and node.value in homes:
                homes[node.value].add(name)
    assert homes == {16_000: {"common.audio.pcm"}, 512: {"common.audio.hysteresis"}}
