"""Settings: the base of every model in the configuration, the bot's own and each platform's; secrets never shown."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from common.destinations.policy import literal, refusal
from common.redact import redact_url, url_secrets

Milliseconds = Annotated[int, Field(gt=0, le=30 * 24 * 3_600_000)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\s\x00-\x1f\x7f]+$")]


class Settings(BaseModel):
    """Frozen settings whose keys are the fields' names in camelCase; a `SecretStr` also has a `…File` key."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    def masked(self) -> dict[str, Any]:
        """The effective settings as JSON values, every secret replaced by `***`."""
        values: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            values[field.alias or name] = _masked(value)
        return values

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, nested ones, passwords and query values inside URLs too, for the redaction of logs."""
        found: list[str] = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Settings):
                    found += item.secrets()
                    continue
                plain = item.get_secret_value() if isinstance(item, SecretStr) else item
                if isinstance(plain, str) and "://" in plain:
                    found += url_secrets(plain)
                elif isinstance(item, SecretStr):
                    found.append(item.get_secret_value())
        return tuple(dict.fromkeys(secret for secret in found if secret))

    def __repr_args__(self) -> Any:
        return self.masked().items()


def _check_endpoint(url: str) -> str:
    if not is_url(url, "http", "https") or (why := forbidden(url)):
        allowed = f"another host ({why})" if is_url(url, "http", "https") else "http://host:port or https://host"
        raise PydanticCustomError("endpoint", "{text}", {"text": allowed})
    return url


class ObjectStoreSettings(Settings):
    """A bucket of S3, or of what speaks its protocol, for what the bot writes into files."""

    endpoint: Annotated[Text, AfterValidator(_check_endpoint)] = Field(
        description="http(s)://host:port of the service, without the bucket."
    )
    bucket: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$")] = Field(
        description="Name of the bucket, which is there already."
    )
    region: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")] = Field(
        default="us-east-1", description="As the service wants requests signed; most that are not AWS take any."
    )
    prefix: Annotated[str, StringConstraints(max_length=256, pattern=r"^[A-Za-z0-9._/-]*$")] = Field(
        default="", description="Goes before every key."
    )
    access_key: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,256}$")] = Field(description="Id of the key.")
    secret_key: SecretStr = Field(description="Secret that belongs to `accessKey`.", min_length=1)

    def parts(self) -> dict[str, str]:
        """The arguments of `bot.signatures.Bucket`."""
        plain = self.model_dump(exclude={"secret_key", "bucket"})
        return {**plain, "name": self.bucket, "secret_key": self.secret_key.get_secret_value()}


def _masked(value: Any) -> Any:
    """A settings value as JSON, without secrets."""
    match value:
        case Settings():
            return value.masked()
        case SecretStr():
            return redact_url(value.get_secret_value())
        case str() if "://" in value:
            return redact_url(value)
        case tuple():
            return [_masked(item) for item in value]
    return value


def is_url(text: object, *schemes: str) -> bool:
    """Whether it is a URL of one of the schemes, with a host and, if any, a usable port."""
    try:
        parts = urlsplit(text) if isinstance(text, str) else None
        if parts is None or not parts.hostname or parts.port == 0:
            return False
        return parts.scheme in schemes and not any(map(str.isspace, str(text)))
    except ValueError:  # bad port, bad IPv6 address
        return False


def forbidden(url: str) -> str | None:
    """Why the address that a URL spells out is none that a bot is sent to; None: it is, or its host is a name.

    Names are checked by address, when they are connected to (`common.destinations.guard`).
    """
    try:
        address = literal(urlsplit(url).hostname or "")
    except ValueError:  # no URL, which somebody else says
        return None
    return None if address is None else refusal(address)
