"""Models and where they are: `demo` is part of the package, a path is used as it is, other names are fetched once."""

from __future__ import annotations

import json
import re
from pathlib import Path

from common.problems import reason
from transcriber.engine.base import ModelError

DEMO_FOLDER = Path(__file__).parent.parent / "models" / "demo"
MODEL_FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
REQUIRED_FILES = ("model.bin", "config.json", "tokenizer.json", "vocabulary.*")
"""Without these of them a folder is no model."""


def resolve(name: str) -> Path:
    """The folder of a model, downloading it if need be, with a progress bar.

    Raises:
        ModelError: not there and not to be had, or a folder in which a file is missing or damaged; it says what to do.
    """
    if name == "demo":
        return DEMO_FOLDER
    path = Path(name).expanduser()
    if path.is_dir():
        _check(path)
        return path
    if path.is_absolute() or name.startswith((".", "~")):
        raise ModelError(f"There is no folder {path}. --model wants a folder, `demo`, or a name such as `small`.")
    return _fetch(name)


def _check(folder: Path) -> None:
    """Whether all files are there and are what they should be, but for the weights: the libraries get another model's
    tokenizer from the hub, or say what is wrong in their own terms. Raises ModelError."""
    missing = [name for name in REQUIRED_FILES if not any(path.is_file() for path in folder.glob(name))]
    if missing:
        raise ModelError(
            f"{folder} holds no {', no '.join(missing)}: --model wants the folder of a CTranslate2 Whisper model."
        )
    for name in ("config.json", "tokenizer.json"):
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder / name} cannot be read: {reason(error)}. Copy or convert it anew.") from error
        is_whole = isinstance(content, dict) and (name != "tokenizer.json" or isinstance(content.get("model"), dict))
        if not is_whole:
            raise ModelError(f"{folder / name} is no {name} of a Whisper model: copy or convert it anew.")


def _fetch(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    source = name if re.fullmatch(r"[\w.-]+/[\w.-]+", name) else repository(name)
    if source is None:
        raise ModelError(f"Unknown model {name!r}: use `demo`, a folder, or a name such as tiny, small.en, large-v3.")
    try:
        return Path(snapshot_download(source, allow_patterns=list(MODEL_FILES), local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(source, allow_patterns=list(MODEL_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"The model {name} is not on this machine and cannot be downloaded ({type(error).__name__}). Let this "
            "machine reach the model hub once; or copy the model's folder here and pass --model FOLDER (in Docker: "
            "mount it); or run the transcriber once elsewhere and mount its cache (HF_HOME). --model demo needs none "
            "of these, and knows about 300 words."
        ) from error


def repository(name: str) -> str | None:
    """Where the model hub keeps a model of this short name."""
    from faster_whisper.utils import _MODELS

    found: str | None = _MODELS.get(name)
    return found
