"""What is generated is current, every example configuration is one, and the deployment guide is complete."""

from __future__ import annotations

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
