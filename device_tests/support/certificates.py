"""A CA, a certificate for this machine's loopback and keys of nodes, as files; for tests of programs that need them."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificates:
    """Files of a CA, and of a certificate and key that it has signed for 127.0.0.1."""

    ca: Path
    certificate: Path
    key: Path

    @property
    def stated(self) -> str:
        """As `edgecl federate serve --tls` takes them."""
        return f"{self.ca}:{self.certificate}:{self.key}"


def make_certificates(folder: Path) -> Certificates:
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in ("test CA", "127.0.0.1")]
    keys = [ec.generate_private_key(ec.SECP384R1()) for _ in names]
    now = dt.datetime.now(dt.UTC)
    hosts = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    files = Certificates(folder / "ca.crt", folder / "server.pem", folder / "server.key")
    for at, path in enumerate((files.ca, files.certificate)):
        extra = hosts if at else x509.BasicConstraints(ca=True, path_length=None)
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[at])
            .issuer_name(names[0])
            .public_key(keys[at].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(extra, critical=not at)
        )
        path.write_bytes(builder.sign(keys[0], hashes.SHA256()).public_bytes(Encoding.PEM))
    _write_private(keys[1], files.key)
    return files


def make_node_key(path: Path) -> Path:
    """Write a private key of a node, and the public one beside it as `.pub`; returns the path."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = ec.generate_private_key(ec.SECP384R1())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    path.with_suffix(".pub").write_bytes(public)
    return path


def _write_private(key: object, path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
