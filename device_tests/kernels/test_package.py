"""What `edgecl_kernels` exports, when it compiles and what it says where it cannot."""

from __future__ import annotations

import subprocess
import sys

import edgecl_kernels
import numpy as np
import pytest
from edgecl_kernels import _signatures


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], text=True, capture_output=True, check=False)


def test_every_kernel_of_the_table_is_exported():
    assert sorted(edgecl_kernels.__all__) == sorted([*_signatures.KERNELS, "lift_signs"])


def test_importing_a_kernel_loads_no_compiler():
    done = run("from edgecl_kernels import refine_steps, scores; import sys; print('numba' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_name_that_is_no_kernel_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        edgecl_kernels.nonsense  # noqa: B018


def test_without_a_compiler_the_error_names_both_ways_out():
    done = run(
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np; from edgecl_kernels import softmax_rows\n"
        "try: softmax_rows(np.ones((1, 1), np.float32))\n"
        "except ImportError as error: print(error)"
    )
    assert "install `edgecl[jit]` or a wheel with the compiled library" in done.stdout


def test_a_helper_comes_after_those_it_calls():
    names = [function.__name__ for function, _ in _signatures.HELPERS]
    for position, (function, _) in enumerate(_signatures.HELPERS):
        assert not set(function.__code__.co_names) & set(names[position:])


def test_no_function_of_the_table_hides_another():
    functions = {function for function, _ in _signatures.HELPERS}
    functions |= {function for function, _, _ in _signatures.KERNELS.values()}
    assert len({function.__name__ for function in functions}) == len(functions)


def test_a_call_keeps_no_reference_to_an_array():
    z = np.ones((2, 3), np.float32)
    before = sys.getrefcount(z)
    for _ in range(10):
        edgecl_kernels.softmax_rows(z)
    assert sys.getrefcount(z) == before
