"""Loading of a configuration: every error together (path, value, what is allowed), and what is worth a warning.

Lines that begin with `//` are comments. Which platforms there are, and what each one asks for, the registry says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bot.config.model import BotConfig, model_of
from bot.config.sources import Findings, clean, parse, problem_of, transcriber_sources, whole, with_environment
from bot.config.warnings import config_warnings, unmet
from bot.platforms import PLATFORMS, load
from bot.platforms.destination import destination_problem
from common.problems import ConfigError, Problem

UPLOADS = {"recording": "upload", "browser": "evidenceUpload"}
"""What asks for a bucket, and by which key."""
INVITED_KEYS = ("meetingUrl", "nativeMeetingId", "connectionId", "botName", "token", "passcode", "browser")
"""What a platform gets to know beside its own settings."""


def load_config(
    text: str, environment: Mapping[str, str], *, in_container: bool | None = None
) -> tuple[BotConfig, list[str]]:
    """Reads and checks a configuration.

    Args:
        text: The JSON object; whole lines beginning with `//` are comments.
        environment: Where missing fields and `…_FILE` secrets come from.
        in_container: Whether `localhost` is a mistake; None: look.

    Returns:
        The configuration and warnings for the log.

    Raises:
        ConfigError: CONFIG_UNREADABLE (not a JSON object) or CONFIG_INVALID with every problem.
    """
    findings = Findings()
    origins: dict[str, str] = {}
    repeated: list[str] = []
    written = parse(text, repeated)
    findings.warnings += [f"key {key!a} stands twice in one object: the last one counts" for key in repeated]
    raw = with_environment(written, environment, origins)
    name = raw["platform"] if raw.get("platform") in tuple(PLATFORMS) else None
    model = model_of([name] if name else [])
    cleaned = clean(model, _without_others(raw, name, findings.warnings), environment, findings)
    cleaned = whole(cleaned, findings.warnings)
    config: BotConfig | None = None
    try:
        config = model.model_validate_json(json.dumps(cleaned), strict=True)
    except ValidationError as error:
        for detail in error.errors():
            if detail["type"] != "default_factory_not_called":
                findings.problem(problem_of(detail, model, cleaned, origins))
    if cleaned.get("transcribeEnabled") is not False and not cleaned.get("whisperLiveUrl"):
        findings.problem(_no_transcriber(model, raw))
    for part, wish in UPLOADS.items():
        given = cleaned.get(part)
        if isinstance(given, dict) and given.get(wish) is True and "objectStore" not in cleaned:
            allowed = f"a bucket for {part}.{wish}: {{endpoint, bucket, accessKey, secretKey}}"
            findings.problem(Problem("objectStore", "(missing)", allowed))
            break
    platform = load(name) if name else None
    if platform is not None:
        given = {key: cleaned[key] for key in (*INVITED_KEYS, name) if key in cleaned}
        for problem in (*platform.problems(given), destination_problem(platform, given.get("meetingUrl"))):
            if problem is not None:
                findings.problem(problem)
    if findings.problems or config is None:
        raise ConfigError(findings.problems, findings.warnings)
    config.found_at(transcriber_sources(config.transcriber_urls, written, environment))
    if in_container is None:
        in_container = Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
    warnings = findings.warnings + config_warnings(config, in_container) + unmet(raw)
    return config, warnings + (platform.warnings(config.invitation()) if platform else [])


def _no_transcriber(model: type[BotConfig], raw: Mapping[str, Any]) -> Problem:
    """Nobody names a transcriber."""
    allowed = (model.model_fields["transcriber_urls"].description or "").rstrip(".")
    if "transcriptionServiceUrl" in raw:
        allowed += "; this transcriptionServiceUrl is no websocket server"
    return Problem("whisperLiveUrl", "(missing)", allowed)


def _without_others(raw: Mapping[str, Any], name: str | None, warnings: list[str]) -> dict[str, Any]:
    """`raw` without the settings of other platforms: they are known keys, and not for us."""
    others = [key for key in raw if key in PLATFORMS and key != name]
    if name:
        warnings += [f"{key} is ignored: these are settings of another platform than {name}" for key in others]
    return {key: value for key, value in raw.items() if key not in others}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the configuration file: every platform's settings, and `…File` variants of secrets."""
    schema = model_of(sorted(PLATFORMS)).model_json_schema(by_alias=True)
    for part in (schema, *schema["$defs"].values()):
        for name, field in list(part["properties"].items()):
            if any(kind.get("format") == "password" for kind in (field, *field.get("anyOf", ()))):
                part["properties"][f"{name}File"] = {
                    "type": "string",
                    "description": f"Path of a file that holds `{name}`.",
                }
                if name in part.get("required", []):
                    part["required"].remove(name)
    schema["required"] = ["platform"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Earshot bot configuration"} | schema
