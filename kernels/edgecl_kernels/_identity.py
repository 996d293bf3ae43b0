"""What a compiled library must match: the version of the package, its kernels, the processor."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256  # from Python 3.12 on; `hashlib` would load OpenSSL, megabytes in every process
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256

FOLDER = Path(__file__).parent
LIBRARY = FOLDER / "libedgecl_kernels.so"


class Processor(NamedTuple):
    """A processor that kernels are compiled for."""

    machine: str
    features: str  # switched on or off for LLVM
    flags: frozenset[str]  # of /proc/cpuinfo, without which the code does not run
    lanes: int  # floats of a vector register
    registers: int


_V2 = frozenset(["cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3"])
_V3 = _V2 | frozenset(["abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"])
_V4 = _V3 | frozenset(["avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"])
_A76 = frozenset(["asimddp", "asimdhp", "asimdrdm", "atomics", "fphp", "lrcpc"])
# a Pi up to the 4 lacks what a Cortex-A53 or A72 may have for ciphers
_NO_CIPHERS = "-aes,-sha2"

PROCESSORS = {
    # with vectors of 512 bits the kernels are 1.0 to 2.4 times as fast as v3, with the 256 that LLVM prefers 1.0 to 1.5
    "x86-64-v4": Processor("x86_64", "-prefer-256-bit", _V4, 16, 32),
    "x86-64-v3": Processor("x86_64", "", _V3, 8, 16),
    "x86-64-v2": Processor("x86_64", "", _V2, 4, 16),
    "cortex-a76": Processor("aarch64", _NO_CIPHERS, _A76, 4, 32),
    "cortex-a72": Processor("aarch64", _NO_CIPHERS, frozenset(), 4, 32),
    "cortex-a53": Processor("aarch64", _NO_CIPHERS, frozenset(), 4, 32),  # NEON is part of the machine
}


def kernel_digest() -> str:
    """SHA-256 over every source file of this package: kernels, signatures, and how the two are called."""
    digest = sha256()
    for path in sorted(FOLDER.glob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def package_version() -> str:
    """Version of edgecl, read without importing it: kernels are the lower layer."""
    spec = find_spec("edgecl")
    source = Path(spec.origin).read_text() if spec and spec.origin else ""
    match = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    return match[1] if match else "unknown"
