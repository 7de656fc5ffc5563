"""Each registered platform is there, described by itself alone, tested against the contract, and alone in its URLs."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bot.config import BotConfig, load_config
from bot.platforms import PLATFORMS, load
from tests.architecture.test_arrows import is_inside
from tests.support.source import ROOT, functions, imports, modules

HEAVY = ("aiortc", "av", "httpx", "jwt", "livekit", "numpy", "playwright", "websockets")
"""What only attending needs: a description must be had without."""


def example(name: str, folder: Path) -> BotConfig:
    """A platform's example configuration, with a file where it names a secret's."""
    (folder / "secret").write_text("0123456789abcdef0123456789abcdef")
    text = (ROOT / "configs" / f"{name}.example.jsonc").read_text(encoding="utf-8")
    text = re.sub(r"/run/secrets/[\w-]+", str(folder / "secret"), text)
    config, warnings = load_config(text, {}, in_container=False)
    assert warnings == []
    return config


@pytest.mark.parametrize("name", list(PLATFORMS))
def test_a_platform_is_a_folder_and_a_line(name: str) -> None:
    """Its folder's docstring names the guide and the example, which are there; so are its contract test and its row."""
    module = PLATFORMS[name].partition(":")[0]
    assert module == f"bot.platforms.{name}"
    for page in (f"docs/{name}.md", f"configs/{name}.example.jsonc"):
        assert page in (importlib.import_module(module).__doc__ or "")
        assert (ROOT / page).is_file()
    contract = (ROOT / "tests" / "platforms" / f"test_{name}.py").read_text(encoding="utf-8")
    assert re.search(r"(?m)^class Test\w+\(\w+Contract\)", contract)
    assert re.search(rf"(?m)^\|.*\| `{name}` \|.*docs/{name}\.md", (ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", list(PLATFORMS))
def test_an_example_loads_and_its_url_belongs_to_nobody_else(name: str, tmp_path: Path) -> None:
    """A meeting URL belongs to exactly one platform. (The contract suite asks for the URLs of real rooms, too.)"""
    config = example(name, tmp_path)
    assert config.platform == name
    assert [other for other in PLATFORMS if load(other).claims(config.meeting_url or "")] == [name]


@pytest.mark.parametrize("url", ["wss://meet.example.com", "rehearsal:configs/meeting.json"])
def test_other_forms_of_urls_belong_to_one_platform_too(url: str) -> None:
    """TLS, and a script instead of a room."""
    assert len([name for name in PLATFORMS if load(name).claims(url)]) == 1


@pytest.mark.parametrize("name", list(PLATFORMS))
def test_a_platforms_key_is_its_own(name: str) -> None:
    """Settings under its name shadow no key that every platform has."""
    assert name not in {field.alias or key for key, field in BotConfig.model_fields.items()}


PROTOCOLS = frozenset({"rtp"})
"""Platforms with the name of a protocol or a format, a word that others need, too: only a text of its own is theirs."""


def test_nobody_else_names_a_platform() -> None:
    """The configuration, the core and the links know platforms by the registry alone."""
    folders = ("bot/config", "bot/core", "bot/audio", "bot/codecs", "bot/links", "common/contracts")
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8").lower()
            named = [name for name in PLATFORMS if (f'"{name}"' if name in PROTOCOLS else name) in text]
            assert not named, f"{path} names a platform; where it is a word of the field, it belongs in PROTOCOLS"


IMPORTS = """
import json, sys
from bot.platforms import PLATFORMS, load
late, new, prepared, there = json.load(sys.stdin), {}, {}, set()
for name in PLATFORMS:
    load(name)
    new[name], there = list(set(sys.modules) - there), set(sys.modules)
for name in PLATFORMS:
    for module in set(sys.modules) - there:
        if module.partition(".")[0] in ("bot", "common") or module in late[name]:
            del sys.modules[module]
    load(name).prepare()
    prepared[name] = list(sys.modules)
print(json.dumps([new, prepared]))
"""
"""Says for each platform what its description imported that those before had not, and what is there once it is
prepared. One process for all, as importing is dear; nothing of ours, or imported late, is left from before."""


def imported_late(name: str) -> set[str]:
    """What the functions of a platform and of its base classes import."""
    folders = {kind.__module__ for kind in type(load(name)).__mro__ if is_inside(kind.__module__, "bot.platforms")}
    folders -= {"bot.platforms.base"}
    own = [tree for module, tree in modules().items() if any(is_inside(module, folder) for folder in folders)]
    return {module for tree in own for function in functions(tree) for module in imports(function)}


@pytest.fixture(scope="module")
def imported() -> list[dict[str, list[str]]]:
    """Platform → modules that its description brings, and those that are there after `prepare`."""
    late = json.dumps({name: sorted(imported_late(name)) for name in PLATFORMS})
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], input=late, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    found: list[dict[str, list[str]]] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(120)  # the first one waits for all of them to be imported
@pytest.mark.parametrize("name", list(PLATFORMS))
def test_a_description_is_light(name: str, imported: list[dict[str, list[str]]]) -> None:
    """Asking a platform about itself imports nothing that only attending needs."""
    assert not set(HEAVY) & set(imported[0][name])


@pytest.mark.timeout(120)  # the first one waits for all of them to be imported
@pytest.mark.parametrize("name", list(PLATFORMS))
def test_what_a_platform_imports_late_is_prepared(name: str, imported: list[dict[str, list[str]]]) -> None:
    """Whatever its functions import is there after `prepare`, which has a thread: no import holds up the event loop."""
    assert imported_late(name)
    assert imported_late(name) <= set(imported[1][name])
