"""TLS of servers, from PEM files."""

from __future__ import annotations

import ssl
from pathlib import Path


class CertificateError(ValueError):
    """Files that cannot be used for TLS. Its text names the options."""


def server_context(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    """TLS 1.2 and later with this certificate chain; None: no TLS. Reads files.

    Args:
        certificate: PEM file.
        key: PEM file; None: the certificate's.

    Raises:
        CertificateError: a file cannot be used.
    """
    if certificate is None:
        if key is not None:
            raise CertificateError("--tls-key is given without --tls-cert.")
        return None
    for option, path in (("--tls-cert", certificate), ("--tls-key", key or certificate)):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise CertificateError(f"{option}: cannot read {path} ({error.strerror}).") from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")  # else OpenSSL asks on the terminal
    except ssl.SSLError as error:
        what = "PEM files with a certificate and its unencrypted private key are needed"
        if "MISMATCH" in (error.reason or ""):
            what = "the key is not that of the certificate"
        pair = f"--tls-cert {certificate} and --tls-key {key or certificate}"
        raise CertificateError(f"{pair} cannot be used: {what}.") from error
    return context
