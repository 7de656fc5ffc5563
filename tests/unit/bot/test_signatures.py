"""Signatures of AWS, version 4, beside those of its documentation."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from bot.signatures import signed_headers

EXAMPLE: dict[str, Any] = {
    "region": "us-east-1",
    "access_key": "AKIAIOSFODNN7EXAMPLE",
    "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
"""Of the documentation of AWS, as are the signatures below."""
HOST = "https://examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("method", "url", "content", "headers", "signature"),
    [
        ("GET", "/?lifecycle", b"", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("GET", "/?max-keys=2&prefix=J", b"", {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        (
            "PUT",
            "/test%24file.text",
            b"Welcome to Amazon S3.",
            {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
    ],
)
def test_signatures_are_those_of_the_documentation(
    method: str, url: str, content: bytes, headers: dict[str, str], signature: str
) -> None:
    """AWS's own examples, to the last digit."""
    digest = hashlib.sha256(content).hexdigest()
    signed = signed_headers(method, HOST + url, digest, headers=headers, now=1_369_353_600.0, **EXAMPLE)
    assert signed["authorization"].endswith(f"Signature={signature}")


def test_what_proxies_change_is_not_signed() -> None:
    """The length of the body, which its hash says already; it is sent all the same."""
    plain = signed_headers("PUT", HOST + "/a", "0" * 64, now=0.0, **EXAMPLE)
    sized = signed_headers("PUT", HOST + "/a", "0" * 64, now=0.0, headers={"Content-Length": "7"}, **EXAMPLE)
    assert sized == plain | {"content-length": "7"}
