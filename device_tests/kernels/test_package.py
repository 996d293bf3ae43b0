"""What `edgecl_kernels` exports, when it compiles and what it says where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import edgecl_kernels
import numpy as np
import pytest
from edgecl_kernels import _signatures
from edgecl_kernels._identity import PROCESSORS

from .conftest import COMPILED, require_library

SCORE = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "import numpy as np; from edgecl_kernels import scores\n"
    "one = np.ones((1, 1), np.float32); scores(one, one, np.zeros(1, np.float32), out := one.copy()); print(out[0, 0])"
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], text=True, capture_output=True, check=False)


def test_every_kernel_of_the_table_is_exported():
    assert sorted(edgecl_kernels.__all__) == sorted(
        [*_signatures.KERNELS, "Implementation", "implementation", "in_turn", "lift_signs", "prepared"]
    )


def test_importing_a_kernel_loads_no_compiler():
    done = run("from edgecl_kernels import refine_steps, scores; import sys; print('numba' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_name_that_is_no_kernel_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        edgecl_kernels.nonsense  # noqa: B018


def choose(code: str, **variables: str) -> str:
    """Print of a child in which `code` runs before an implementation is chosen."""
    code = (
        f"{code}\nfrom edgecl_kernels import implementation, softmax_rows; import numpy as np\n"
        "try: softmax_rows(np.ones((1, 1), np.float32)); print(implementation()[:3])\n"
        "except ImportError as error: print(error)"
    )
    unset = {name: value for name, value in os.environ.items() if name not in ("EDGECL_KERNELS", "NUMBA_DISABLE_JIT")}
    command, environ = [sys.executable, "-W", "error", "-c", code], {**unset, **variables}
    return subprocess.run(command, env=environ, text=True, capture_output=True, check=True).stdout


NO_LIBRARY = "from edgecl_kernels import _identity; _identity.LIBRARY = _identity.FOLDER / 'none.so'"
NO_NUMBA = "import sys; sys.modules['numba'] = None"


def test_with_neither_library_nor_compiler_the_error_names_both_ways_out():
    said = choose(f"{NO_LIBRARY}\n{NO_NUMBA}")
    assert "library: this package was installed without one; jit: numba is not installed" in said
    assert "install a wheel with the compiled library" in said
    assert "install `edgecl[jit]`" in said


@pytest.mark.host
def test_without_a_library_numba_compiles_and_the_reason_is_kept():
    pytest.importorskip("numba")
    said = choose(NO_LIBRARY)
    assert said.startswith("('jit', 'numba ")
    assert "{'library': 'this package was installed without one'}" in said


@pytest.mark.parametrize("variable", ["EDGECL_KERNELS=plain", "NUMBA_DISABLE_JIT=1"])
def test_plain_python_runs_where_it_is_asked_for(variable):
    name, _, value = variable.partition("=")
    assert choose(NO_NUMBA, **{name: value}) == "('plain', 'plain Python, slow', {})\n"


def test_what_is_asked_for_is_not_replaced():
    assert "(jit: numba is not installed)" in choose(NO_NUMBA, EDGECL_KERNELS="jit")


def test_an_unknown_implementation_is_an_error():
    said = choose("", EDGECL_KERNELS="fast")
    assert "EDGECL_KERNELS is 'fast', wanted one of library, jit, plain or a processor: x86-64-v4" in said


@pytest.mark.parametrize("processor", COMPILED)
def test_code_for_a_processor_that_this_machine_can_run_is_taken_where_it_is_asked_for(processor):
    require_library(processor)
    assert choose("", EDGECL_KERNELS=processor) == f"('library', 'compiled library for {processor}', {{}})\n"


def test_code_that_the_library_lacks_is_not_replaced():
    require_library()
    other = next(name for name in PROCESSORS if name not in COMPILED)
    assert f"not for {other}" in choose("", EDGECL_KERNELS=other)


def test_a_helper_comes_after_those_it_calls():
    names = [function.__name__ for function, _ in _signatures.HELPERS]
    for position, (function, _) in enumerate(_signatures.HELPERS):
        assert not set(function.__code__.co_names) & set(names[position:])


def test_no_function_of_the_table_hides_another():
    functions = {function for function, _ in _signatures.HELPERS}
    functions |= {function for function, _, _ in _signatures.KERNELS.values()}
    assert len({function.__name__ for function in functions}) == len(functions)


@pytest.mark.native("makes many calls")
def test_a_call_keeps_no_reference_to_an_array():
    z = np.ones((2, 3), np.float32)
    before = sys.getrefcount(z)
    for _ in range(10):
        edgecl_kernels.softmax_rows(z)
    assert sys.getrefcount(z) == before


@pytest.mark.host
def test_a_changed_helper_renews_the_cached_kernels_that_call_it(tmp_path):
    pytest.importorskip("numba")
    package = tmp_path / "edgecl_kernels"
    shutil.copytree(Path(edgecl_kernels.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {
        **os.environ,
        "EDGECL_KERNELS": "jit",
        "NUMBA_DISABLE_JIT": "0",
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
    }
    command = [sys.executable, "-c", SCORE, str(tmp_path)]
    printed = [subprocess.run(command, env=environment, text=True, capture_output=True, check=True).stdout]
    helper = package / "products.py"
    helper.write_text(helper.read_text().replace("total += x", "total -= x"))
    printed += [subprocess.run(command, env=environment, text=True, capture_output=True, check=True).stdout]
    assert printed == ["1.0\n", "-1.0\n"]
