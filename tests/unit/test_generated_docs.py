"""What is generated is current, every example configuration is one, and the deployment guide is complete."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from typer.main import get_command

from bot.config import json_schema, load_config
from bot.config.sources import parse
from bot.platforms import PLATFORMS
from tests.faults.promises import PROMISES
from transcriber.cli import app as transcriber

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


def functions_of(path: str, classes: Sequence[str]) -> set[str]:
    """The test functions in a file, or of a class of it and of the contract that it may inherit."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    if classes:
        assert classes[0] in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        tree = ast.parse((ROOT / "tests/platforms/contract.py").read_text(encoding="utf-8"))
    found = ast.walk(tree) if classes else iter(tree.body)
    return {node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_platform_has_an_example() -> None:
    """configs/<platform>.example.jsonc, commented."""
    assert {f"{platform}.example.jsonc" for platform in PLATFORMS} <= {path.name for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid(path: Path, tmp_path: Path) -> None:
    """Each example loads without a warning and fits the published schema."""
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef")
    text = path.read_text(encoding="utf-8").replace("/run/secrets/livekit-api-secret", str(tmp_path / "secret"))
    _, warnings = load_config(text, {}, in_container=False)
    assert warnings == []
    jsonschema.Draft202012Validator(json_schema()).validate(parse(text))


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


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    """Editors that know the schema see the commonest mistakes."""
    schema = jsonschema.Draft202012Validator(json_schema())
    schema.check_schema(json_schema())
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
