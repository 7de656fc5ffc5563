"""Sources of a configuration, from its text to what a model checks: nulls out, unknown keys named, secrets read."""

from __future__ import annotations

import difflib
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from common.contracts.status import SubCode
from common.problems import ConfigError, Problem, reason, shown

MANAGERS_KEYS = frozenset(
    {"transcriptionServiceUrl", "transcriptionServiceToken", "transcriptionModel", "transcriptionTier", "mode"}
    | {"recordingEnabled", "recordingUploadUrl", "captureModes", "captureSignalEnabled", "videoReceiveEnabled"}
    | {"voiceAgentEnabled", "cameraEnabled", "defaultAvatarUrl", "authenticated", "userdataS3Path", "obfToken"}
    | {"s3Endpoint", "s3Bucket", "s3AccessKey", "s3SecretKey"}
)
"""Keys that managers send with every bot (docs/managers.md): known, and for other bots than this one."""


SAYS_NO_UNIT = frozenset(
    {"int_type", "int_from_float", "float_type", "greater_than", "greater_than_equal", "less_than", "less_than_equal"}
)
"""Errors of pydantic's that say nothing of what is meant, such as milliseconds: then the setting's description does."""


@dataclass(slots=True)
class Findings:
    """What reading a configuration brings to light: errors, one for each setting, and warnings."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _faulty: set[str] = field(default_factory=set)

    def problem(self, problem: Problem, setting: str | None = None) -> None:
        """Takes down what is wrong with a setting (default: the problem's path); only the first, the others follow."""
        setting = setting or problem.path
        if setting not in self._faulty:
            self._faulty.add(setting)
            self.problems.append(problem)


def find_config(path: str | None, environment: Mapping[str, str]) -> str:
    """The configuration's text: file `path` or `-` (standard input), else VEXA_BOT_CONFIG, else BOT_CONFIG.

    Raises:
        ConfigError: CONFIG_UNREADABLE when there is none, or the file cannot be read.
    """
    if path == "-":
        return sys.stdin.read()
    if path is not None:
        try:
            return Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable("--config", shown(path), f"a readable JSON file ({reason(error)})") from None
    for name in ("VEXA_BOT_CONFIG", "BOT_CONFIG"):
        if environment.get(name):
            return environment[name]
    allowed = "--config FILE, --config - for standard input, or the JSON itself in VEXA_BOT_CONFIG or BOT_CONFIG"
    raise _unreadable("configuration", "(none given)", allowed)


def parse(text: str, repeated: list[str] | None = None) -> dict[str, Any]:
    """The JSON object in `text`. Raises ConfigError: CONFIG_UNREADABLE.

    Args:
        text: May begin with a byte order mark, as Windows' editors have it.
        repeated: Learns the keys that stand in one object more than once.
    """
    text = re.sub(r"(?m)^[ \t]*//.*$", "", text.removeprefix("\ufeff"))

    def last_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if repeated is not None and len(found) < len(pairs):
            repeated.extend(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        return found

    try:
        value = json.loads(text, object_pairs_hook=last_of_each)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _unreadable("configuration", "(not JSON)", f"one JSON object{_where(text, error)}") from None
    if not isinstance(value, dict):
        raise _unreadable("configuration", f"(a JSON {type(value).__name__})", "one JSON object")
    return value


def _where(text: str, error: Exception) -> str:
    """Where it is no JSON, and what was meant where that can be told; the text itself may hold secrets."""
    if re.fullmatch(r"\s*[^\s{}\"]+\.jsonc?\s*", text):
        return " itself, and this is a file's name: `--config` takes one"
    if not isinstance(error, json.JSONDecodeError):
        return ""
    commented = text[error.pos :].lstrip().startswith(("//", "/*", "#"))
    comment = "; a comment begins with // and has a line of its own" if commented else ""
    return f", line {error.lineno} column {error.colno}: {error.msg}{comment}"


def _unreadable(path: str, value: str, allowed: str) -> ConfigError:
    return ConfigError([Problem(path, value, allowed)], code=SubCode.CONFIG_UNREADABLE)


def is_secret(field: FieldInfo) -> bool:
    """Whether the field holds a `SecretStr`, optional or not."""
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


def nested_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is an object, optional or not, or a list of them."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def with_environment(raw: Mapping[str, Any], environment: Mapping[str, str], origins: dict[str, str]) -> dict[str, Any]:
    """`raw` with the fields it lacks taken from the environment; `origins` learns which variable gave which key."""
    merged = {key: value for key, value in raw.items() if value is not None}

    def fall_back(key: str, variable: str) -> None:
        if environment.get(variable) and key not in merged and f"{key}File" not in merged:
            merged[key] = environment[variable]
            origins[key] = variable

    fall_back("redisUrl", "REDIS_URL")
    fall_back("logLevel", "LOG_LEVEL")
    fall_back("whisperLiveUrl", "WHISPER_LIVE_URL")
    fall_back("whisperLiveApiKey", "WHISPER_LIVE_API_KEY")
    first = merged.get("whisperLiveUrl", [])
    more = [url.strip() for url in environment.get("WHISPER_LIVE_URL_FALLBACK", "").split(",") if url.strip()]
    if more and (isinstance(first, str) or first == []):  # a list in the JSON is the whole order already
        urls = list(dict.fromkeys([first, *more] if first else more))
        sources = dict.fromkeys(urls, "WHISPER_LIVE_URL_FALLBACK, a comma list")
        if first:
            sources[first] = origins.pop("whisperLiveUrl", "")
        merged["whisperLiveUrl"] = urls
        origins |= {f"whisperLiveUrl[{place}]": source for place, source in enumerate(sources.values()) if source}
    _use_service(merged, origins)
    return merged


def _use_service(merged: dict[str, Any], origins: dict[str, str]) -> None:
    """Where nobody names a transcriber, a manager's transcription service is it, if it speaks over a websocket."""
    service, key = merged.get("transcriptionServiceUrl"), merged.get("transcriptionServiceToken")
    if "whisperLiveUrl" in merged or not isinstance(service, str) or not service.startswith(("ws://", "wss://")):
        return
    merged["whisperLiveUrl"], origins["whisperLiveUrl"] = service, "transcriptionServiceUrl"
    if key is not None and "whisperLiveApiKey" not in merged and "whisperLiveApiKeyFile" not in merged:
        merged["whisperLiveApiKey"], origins["whisperLiveApiKey"] = key, "transcriptionServiceToken"


def clean(
    model: type[BaseModel],
    raw: Mapping[str, Any],
    environment: Mapping[str, str],
    findings: Findings,
    path: str = "",
) -> dict[str, Any]:
    """`raw` without nulls and unknown keys (a warning each), `…File` secrets read, nested objects and lists of them
    likewise."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    secrets = [key for key, field in fields.items() if is_secret(field)]
    known = [*fields, *(f"{key}File" for key in secrets)]
    cleaned: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in known:
            if path or key not in MANAGERS_KEYS:
                findings.warnings.append(_unknown(key, known, path))
        elif value is not None and key in fields:
            inner = nested_model(fields[key])
            cleaned[key] = value
            if inner is not None and isinstance(value, dict):
                cleaned[key] = clean(inner, value, environment, findings, f"{path}{key}.")
            elif inner is not None and isinstance(value, list):
                cleaned[key] = [
                    clean(inner, item, environment, findings, f"{path}{key}[{place}].")
                    if isinstance(item, dict)
                    else item
                    for place, item in enumerate(value)
                ]
    for key in secrets:
        _read_secret_file(key, raw, cleaned, environment, findings, path)
    return cleaned


def whole(value: Any, warnings: list[str], path: str = "") -> Any:
    """JSON in which each half of a surrogate pair is U+FFFD, with a warning: of an emoji that a manager has cut in two,
    or of bytes of a variable that are not UTF-8."""
    match value:
        case str() if re.search("[\ud800-\udfff]", value):
            warnings.append(f"{path} has half of a character, as of an emoji that was cut: it is replaced by U+FFFD")
            return re.sub("[\ud800-\udfff]", "\ufffd", value)
        case list():
            return [whole(item, warnings, f"{path}[{place}]") for place, item in enumerate(value)]
        case dict():
            kept = ((re.sub("[\ud800-\udfff]", "\ufffd", key), item) for key, item in value.items())
            return {key: whole(item, warnings, f"{path}.{key}".lstrip(".")) for key, item in kept}
    return value


def transcriber_sources(urls: Sequence[str], raw: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Where each transcriber's URL came from, for people: a key of the configuration `raw`, or a variable."""
    given = raw.get("whisperLiveUrl") or []
    sources = dict.fromkeys(urls, "environment WHISPER_LIVE_URL_FALLBACK")
    if not given and environment.get("WHISPER_LIVE_URL") in sources:
        sources[environment["WHISPER_LIVE_URL"]] = "environment WHISPER_LIVE_URL"
    return sources | dict.fromkeys([given] if isinstance(given, str) else given, "whisperLiveUrl")


def _unknown(key: str, known: list[str], path: str) -> str:
    plain = {_plain(name): name for name in known}
    match = difflib.get_close_matches(_plain(key), plain, n=1, cutoff=0.75)
    hint = f"; did you mean {path}{plain[match[0]]}?" if match else ""
    return f"unknown key {path + key!a} is ignored{hint}"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _read_secret_file(
    key: str,
    raw: Mapping[str, Any],
    cleaned: dict[str, Any],
    environment: Mapping[str, str],
    findings: Findings,
    path: str,
) -> None:
    """Fills `key` from `keyFile` of the JSON, else from the file that the environment's KEY_FILE names."""
    setting, variable = f"{path}{key}File", _variable(f"{path}{key}")
    file = raw.get(f"{key}File")
    if file is not None and key in cleaned:
        findings.problem(Problem(setting, shown(file), f"only one of {path}{key} and {setting}"))
        return
    if file is None and key not in cleaned and environment.get(variable):
        setting, file = variable, environment[variable]
    if file is None:
        return
    try:
        content, why = Path(file).read_text(encoding="utf-8").strip(), "it is empty"
    except (OSError, UnicodeDecodeError, TypeError, ValueError) as error:
        content, why = "", reason(error)
    if content:
        cleaned[key] = content
    else:
        allowed = f"path of a readable text file that holds the secret ({why})"
        findings.problem(Problem(setting, shown(file), allowed), f"{path}{key}")


def _variable(path: str) -> str:
    """`name.apiSecret` → `NAME_API_SECRET_FILE`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", path).replace(".", "_").upper() + "_FILE"


def problem_of(
    detail: ErrorDetails, model: type[BaseModel], cleaned: Mapping[str, Any], origins: Mapping[str, str]
) -> Problem:
    """One pydantic error in our words. `origins`: top-level key → environment variable that gave its value."""
    location, value = _place(detail["loc"], cleaned)
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    description, secret = _describe(model, location)
    if detail["type"] == "missing":
        return Problem(path, "(missing)", description.rstrip("."))
    origin = origins.get(path)
    allowed = re.sub("^[A-Z][a-z]+ should (be|have) ", "", detail["msg"])
    if detail["type"] == "string_pattern_mismatch":
        allowed = "; ".join(filter(None, [description.rstrip("."), f"text that fits {detail['ctx']['pattern']}"]))
    if detail["type"] in SAYS_NO_UNIT and description:
        allowed = f"{allowed} ({description.rstrip('.')})"
    return Problem(f"{path} (from {origin})" if origin else path, shown(value, secret), allowed)


def _place(location: Sequence[int | str], cleaned: Mapping[str, Any]) -> tuple[list[int | str], Any]:
    """Where an error is in what was written, and what stands there; one value may be of several kinds."""
    value: Any = cleaned
    place: list[int | str] = []
    for part in location:
        has_parts = isinstance(value, list) if isinstance(part, int) else isinstance(value, Mapping)
        if not has_parts:  # then this is one of the kinds that it is not
            break
        place.append(part)
        value = value[part] if isinstance(part, int) else value.get(part)
    return place, value


def _describe(model: type[BaseModel], location: Sequence[int | str]) -> tuple[str, bool]:
    """Description of the field at `location`, and whether it holds a secret."""
    field = next(field for field in model.model_fields.values() if field.alias == location[0])
    inner = nested_model(field)
    within = list(itertools.dropwhile(lambda part: isinstance(part, int), location[1:]))
    if inner is not None and within:
        return _describe(inner, within)
    return field.description or "", is_secret(field)
