"""A certificate for the page, made by the program openssl, so that a phone's browser hands out its microphone."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

from edgecl.errors import SettingError
from edgecl.service.addresses import Address

DAYS = 825
"""The longest that browsers accept."""


def names_of(address: Address) -> list[str]:
    """Return the names and addresses by which this machine is reached."""
    host = socket.gethostname()
    found = {host, f"{host.partition('.')[0]}.local", "localhost", "127.0.0.1"}
    if not address.is_wildcard:
        found.add(address.host)
    with suppress(OSError):
        found |= {str(one[4][0]).partition("%")[0] for one in socket.getaddrinfo(host, None)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, suppress(OSError):
        one.connect(("192.0.2.1", 9))  # sends nothing; says which address would be used
        found.add(one.getsockname()[0])
    return sorted(found)


def certificate(folder: Path, names: list[str]) -> tuple[Path, Path]:
    """Return a certificate and its key in `folder`, made anew where they are not there or nearly outdated.

    Raises
    ------
    SettingError
        There is no openssl, or it fails.
    """
    cert, key = folder / "page.crt", folder / "page.key"
    program = shutil.which("openssl")
    if program is None:
        raise SettingError("a certificate is made by openssl: apt install openssl, or give one", parameter="cert")
    month = str(30 * 24 * 3600)
    check = [program, "x509", "-in", str(cert), "-noout", "-checkend", month]
    if key.is_file() and subprocess.run(check, capture_output=True, check=False).returncode == 0:  # noqa: S603
        return cert, key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kinds = [f"IP:{one}" if _is_address(one) else f"DNS:{one}" for one in names]
    command = [
        *(program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256"),
        *("-days", str(DAYS), "-subj", "/CN=edgecl", "-addext", f"subjectAltName={','.join(kinds)}"),
        *("-addext", "extendedKeyUsage=serverAuth", "-keyout", str(key), "-out", str(cert)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, umask=0o077)  # noqa: S603
    if done.returncode:
        raise SettingError(f"openssl could not make a certificate: {done.stderr.strip()[-200:]}", parameter="cert")
    return cert, key


def context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return how connections are encrypted; raises SettingError where the files are not what they should be."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        found.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"{cert} and {key} are no certificate with its key: {error}", parameter="cert") from error
    return found


def fingerprint(cert: Path) -> str:
    """Return the SHA-256 that a browser shows of a certificate."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.read_text())).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _is_address(name: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name)
        except OSError:
            continue
        return True
    return False
