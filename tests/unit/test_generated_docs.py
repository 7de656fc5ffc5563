"""What is generated is current, every example configuration is one, and the guides are complete."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import BaseModel
from typer.main import get_command

from bot.config import json_schema, load_config
from bot.config.commands import ACTIONS
from bot.config.model import AutomaticLeave, BotConfig
from bot.config.sources import nested_model, parse
from bot.core.leave import next_departure
from bot.platforms import PLATFORMS, load
from common.contracts.events import StatusEvent, parse_event
from common.contracts.status import State, SubCode
from tests.faults.promises import PROMISES
from transcriber.cli import app as transcriber
from transcriber.sessions import Session, SessionListener, Sessions

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "configs").glob("*.example.json*"))


def generated() -> dict[str, str]:
    """What tools/generate_docs.py would write."""
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files: dict[str, str] = module.generated()
    return files


def test_generated_files_are_current() -> None:
    """After a change of the configuration or the sub-codes: python tools/generate_docs.py."""
    for path, text in generated().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path} is old: python tools/generate_docs.py"


def test_what_is_promised_is_tested() -> None:
    """Each test that docs/reliability.md names is there, and was run for its numbers; each fault has a row."""
    measured = json.loads((ROOT / "bench" / "faults.json").read_text(encoding="utf-8"))
    for promise in PROMISES:
        assert promise.tests or promise.instead, promise
        for test in promise.tests:
            path, *names = test.split("::")
            assert names[-1] in functions_of(path, names[:-1]), test
            assert test in measured["tests"], f"{test}: make faults"
    numbers = {number for promise in PROMISES for number in promise.fault.split(", ")}
    assert {str(number) for number in range(1, 26)} <= numbers
    noted = {(measure.test, measure.name) for promise in PROMISES for measure in promise.measures}
    assert noted <= {(test, name) for test, names in measured["numbers"].items() for name in names}


@cache
def parsed(path: str) -> ast.Module:
    """A file of tests."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def functions_of(path: str, classes: Sequence[str]) -> set[str]:
    """The test functions in a file, or of a class of it and of the contract that it may inherit."""
    tree = parsed(path)
    if classes:
        assert classes[0] in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        tree = parsed("tests/platforms/contract.py")
    found = ast.walk(tree) if classes else iter(tree.body)
    return {node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@cache
def published() -> Any:
    """The schema of a configuration, which validates."""
    return jsonschema.Draft202012Validator(json_schema())


def test_every_platform_has_an_example() -> None:
    """configs/<platform>.example.jsonc, commented."""
    assert {f"{platform}.example.jsonc" for platform in PLATFORMS} <= {path.name for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid(path: Path, tmp_path: Path) -> None:
    """Each example loads without a warning and fits the published schema."""
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef")
    text = re.sub(r"/run/secrets/[\w-]+", str(tmp_path / "secret"), path.read_text(encoding="utf-8"))
    _, warnings = load_config(text, {}, in_container=False)
    assert warnings == []
    published().validate(parse(text))


def test_the_deployment_guide_is_complete() -> None:
    """Every variable that the transcriber reads is in its table, and every profile of the Compose file is explained."""
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    variables = {name for option in get_command(transcriber).params for name in as_list(option.envvar)}
    _, _, table = guide.partition("| Transcriber |")
    assert variables <= set(re.findall(r"`(\w+)`", table.partition("\n\n")[0]))
    profiles = re.findall(r"profiles: \[(\w+)\]", (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))
    assert {"cpu", "browser"} <= set(profiles) <= set(re.findall(r"`(\w+)`", guide))


def as_list(envvar: str | Sequence[str] | None) -> Sequence[str]:
    """The environment variables of an option."""
    return [envvar] if isinstance(envvar, str) else envvar or []


def guide(page: str) -> str:
    """A page that is written by hand."""
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def rows(text: str) -> set[str]:
    """What stands as code in the first cells of its tables."""
    return {word for line in re.findall(r"(?m)^\|([^|]+)\|", text) for word in re.findall(r"`([^`]+)`", line)}


def test_every_leave_rule_and_every_command_is_in_its_guide() -> None:
    """Each key of `automaticLeave`, each reason of a rule, each action."""
    leaving = guide("leaving.md")
    keys = {str(field.alias) for field in AutomaticLeave.model_fields.values()}
    reasons = {SubCode[name] for name in re.findall(r"SubCode\.(\w+)", inspect.getsource(next_departure))}
    assert keys | reasons <= set(re.findall(r"`(\w+)\b[^`]*`", leaving))
    assert set(ACTIONS) <= rows(guide("commands.md"))


def test_every_setting_is_described_and_has_a_page() -> None:
    """In the schema, with what it is for; in a guide, a platform's in its own or in those that this one leads to."""
    every = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))

    def lacking(model: type[BaseModel], pages: str, path: str) -> Iterator[str]:
        for name, field in model.model_fields.items():
            key = f"{path}{field.alias or name}"
            named = re.search(rf"\b{key.rpartition('.')[2]}(File)?\b", pages)
            if not field.description or not named:
                yield key
            if inner := nested_model(field):
                yield from lacking(inner, pages, f"{key}.")

    assert not list(lacking(BotConfig, every, ""))
    for platform in PLATFORMS:
        if model := load(platform).settings_model:
            own = guide(f"{platform}.md")
            pages = own + "".join(guide(page) for page in set(re.findall(r"\]\((\w[\w-]*\.md)", own)))
            assert not list(lacking(model, pages, f"{platform}."))


def test_the_status_stream_is_described() -> None:
    """Its examples are events as they are written; whatever an end may have, and each link, has a row."""
    _, _, section = guide("redis.md").partition("\n## Payloads of the status stream\n")
    section = section.partition("\n## ")[0]
    for example in re.findall(r"```json\n(.*?)```", section, re.DOTALL):
        assert parse_event(example).as_json() == json.loads(example)
    everything = StatusEvent("b", 1, None, State.FAILED, "", "why", SubCode.REMOVED, State.ACTIVE, ("shot.png",), 1)
    plain = StatusEvent("b", 1, None, State.ACTIVE, "")
    assert set(everything.as_json()) - set(plain.as_json()) <= rows(section)
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "bot").rglob("*.py"))
    subjects = re.findall(r"(?:ReportHealth|LinkChanged)\(f?\"([a-z]+:?)", written)
    assert {"track:", "room", "callback", "gap:"} <= set(subjects)
    assert not [each for each in subjects if not any(row.startswith(each) for row in rows(section))]


def test_the_guide_to_streaming_engines_is_complete() -> None:
    """Whatever a connection uses of a session, and a session of its listener, has a row."""
    used = {name for each in (Sessions, Session, SessionListener) for name in vars(each) if not name.startswith("_")}
    told = rows(guide("transcriber-engines.md").partition("\n## A streaming engine\n")[2])
    assert used <= {name.removeprefix("listener.").partition("(")[0] for name in told}


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    """Editors that know the schema see the commonest mistakes."""
    schema = published()
    schema.check_schema(schema.schema)
    good = {"platform": "rehearsal", "meetingUrl": "rehearsal:x"}
    mistakes: tuple[dict[str, Any], ...] = (
        {"platform": "webex"},
        {"task": "sing"},
        {"automaticLeave": {"timeout": "5"}},
        {"meeting_id": []},
    )
    for bad in mistakes:
        with pytest.raises(jsonschema.ValidationError):
            schema.validate(json.loads(json.dumps(good | bad)))
