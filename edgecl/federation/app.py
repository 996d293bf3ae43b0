"""The Flower app of a federation, written to a folder, and the commands that start Flower's programs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from edgecl.errors import EdgeclError, SettingError
from edgecl.federation.fleet import FLOOR
from edgecl.federation.secure import agreed_labels, levels
from edgecl.store.files import explained, remove_folder

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "edgecl-fleet"
version = "1.0.0"
description = "Statistics of many devices, summed"
license = {{ file = "LICENSE" }}
dependencies = ["flwr>=1.42"]

[tool.hatch.build.targets.wheel]
packages = ["."]

[tool.flwr.app]
publisher = "edgecl"
fab-format-version = 1
flwr-version-target = "1.42.0"

[tool.flwr.app.components]
serverapp = "edgecl_fleet.server:app"
clientapp = "edgecl_fleet.client:app"

[tool.flwr.app.config]
rounds = {rounds}
min-nodes = {nodes}
timeout = {timeout}
floor = {floor}
state = "{state}"
{agreed}"""
CLIENT = '''\
"""A node: edgecl hands in what its store has learnt, and merges the sum of the others."""

from edgecl.federation.flower import answer
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message, context):
    return answer(message, context)
'''
SERVER = '''\
"""The server: edgecl sums what the nodes hand in, and brings each the sum of the others."""

from edgecl.federation.flower import lead
from flwr.serverapp import ServerApp

app = ServerApp()


@app.main()
def main(grid, context):
    lead(grid, context)
'''
SECURE_CLIENT = '''\
"""A node: what its store has learnt leaves it under masks, and it merges the sum without its own part."""

from edgecl.federation.flower_secure import secure_client

app = secure_client()
'''
SECURE_SERVER = '''\
"""The server: it sees the sum of all devices, and no single part of it."""

from edgecl.federation.flower_secure import lead_secure
from flwr.serverapp import ServerApp

app = ServerApp()


@app.main()
def main(grid, context):
    lead_secure(grid, context)
'''
LICENCE = "Licensed under the Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0\n"


def write_app(
    folder: Path,
    *,
    rounds: int = 1,
    nodes: int = 2,
    timeout_s: float = 120,
    secure: Sequence[str] = (),
    bound: int = 64,
) -> list[Path]:
    """Write a Flower app to a new or empty folder; returns its files.

    Parameters
    ----------
    rounds
        Of one run.
    nodes
        For which a round waits, up to its time.
    timeout_s
        Seconds that a round waits for nodes and for their replies.
    secure
        Labels that are summed by SecAgg+, so that the server sees no device's part; () sums plain files.
    bound
        Most samples of a class at a device in a secure sum.

    Raises
    ------
    SettingError
        When the folder is not empty, or a secure sum would be of fewer than three devices.
    DataError
        When a label cannot be one.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingError(f"{folder} exists and is not empty: name a new folder")
    state, agreed = folder.absolute() / "state", ""
    if not str(state).isprintable() or set(str(state)) & set('"\\'):
        raise SettingError(f"{str(state)!a} cannot be written into pyproject.toml: rename the folder")
    if secure:
        levels(nodes)
        labels = json.dumps(agreed_labels(secure), ensure_ascii=False)
        agreed = f"labels = {json.dumps(labels, ensure_ascii=False)}\nbound = {bound}\n"
    pyproject = PYPROJECT.format(
        rounds=rounds, nodes=nodes, timeout=float(timeout_s), floor=FLOOR, state=state, agreed=agreed
    )
    files = {
        "pyproject.toml": pyproject,
        "LICENSE": LICENCE,
        "edgecl_fleet/__init__.py": "",
        "edgecl_fleet/client.py": SECURE_CLIENT if secure else CLIENT,
        "edgecl_fleet/server.py": SECURE_SERVER if secure else SERVER,
    }
    is_new = not folder.exists()
    try:
        with explained(f"writing {folder}", outcome="no app was made"):
            for name, text in files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    except EdgeclError:
        if is_new:
            with suppress(OSError):
                remove_folder(folder)
        raise
    return [folder / name for name in files]


def require_flower() -> None:
    """Raise ImportError, which names the extra, unless Flower is installed."""
    if find_spec("flwr") is None:
        raise ImportError("this needs the package flwr: pip install 'edgecl[federated]'")


def quiet_environment(environ: dict[str, str] | None = None) -> dict[str, str]:
    """Return the environment of Flower's programs: without telemetry, and without fetching packages."""
    return {**(os.environ if environ is None else environ), "FLWR_TELEMETRY_ENABLED": "0"}


def serve_command(
    *,
    host: str = "127.0.0.1",
    port: int = 9092,
    tls: tuple[Path, Path, Path] | None = None,
    keys: bool = False,
) -> list[str]:
    """Return the command that starts a SuperLink.

    Parameters
    ----------
    tls
        Files of the CA, of the certificate and of its key; None: without TLS, on loopback alone.
    keys
        Take only nodes whose public key was registered (`flwr supernode register`).

    Raises
    ------
    SettingError
        When it would be reachable from other machines without TLS, or takes keys without it.
    """
    if tls is None and (keys or host not in ("127.0.0.1", "localhost", "::1")):
        raise SettingError("beyond loopback, and for keys, a SuperLink needs TLS: a CA, a certificate and its key")
    secure = ["--insecure"]
    if tls is not None:
        secure = ["--ssl-ca-certfile", str(tls[0]), "--ssl-certfile", str(tls[1]), "--ssl-keyfile", str(tls[2])]
    addresses = ["--host", host, "--port", str(port)]
    auth = ["--enable-supernode-auth"] if keys else []
    return ["flower-superlink", *secure, *addresses, *auth, "--disable-runtime-dependency-installation"]


def join_command(
    superlink: str,
    config: dict[str, str | int],
    *,
    port: int = 9094,
    root_certificate: Path | None = None,
    key: Path | None = None,
) -> list[str]:
    """Return the command that starts a SuperNode.

    Parameters
    ----------
    superlink
        HOST:PORT of the fleet API.
    config
        `store`, or `folder` of a gateway.
    root_certificate
        Of the CA of the SuperLink; None: without TLS, to loopback alone.
    key
        Private key of this node, which the SuperLink knows the public one of.

    Raises
    ------
    SettingError
        When it would reach another machine without TLS.
    """
    host = superlink.rpartition(":")[0]
    if root_certificate is None and (key is not None or host not in ("127.0.0.1", "localhost", "[::1]")):
        raise SettingError("beyond loopback, and for keys, a node needs TLS: the certificate of the SuperLink's CA")
    if any(isinstance(value, str) and ('"' in value or "\\" in value) for value in config.values()):
        raise SettingError("a path with quotes or backslashes cannot be handed to Flower: rename it")
    quoted = {name: f'"{value}"' if isinstance(value, str) else value for name, value in config.items()}
    stated = " ".join(f"{name}={value}" for name, value in quoted.items())
    secure = ["--insecure"] if root_certificate is None else ["--root-certificates", str(root_certificate)]
    auth = [] if key is None else ["--auth-supernode-private-key", str(key)]
    return ["flower-supernode", *secure, "--superlink", superlink, "--port", str(port), *auth, "--node-config", stated]
