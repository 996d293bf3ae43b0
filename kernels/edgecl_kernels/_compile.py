"""Kernels compiled ahead of time: one object file for each kernel and processor.

numba types and lowers a kernel for no processor in particular, LLVM then optimises it for the wanted one. What
comes out calls nothing of numba or Python, holds no address of this process and cannot raise: otherwise it is
refused. Each kernel becomes one C function that reads its arguments from a block of 8-byte slots: an array takes
its address and its lengths, a number one slot (a float32 as a double).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

if "numba" in sys.modules:
    raise ImportError("numba is loaded already: kernels are compiled ahead of time in a process of their own")
# retargeting optimised code aborts the process, and so would instructions of this processor
os.environ.update(NUMBA_OPT="0", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", NUMBA_DISABLE_JIT="0")

import llvmlite.binding as llvm
import numba
from numba import njit, types
from numba.core.errors import NumbaError

from edgecl_kernels import _elf, _jit, _simd
from edgecl_kernels._identity import Processor
from edgecl_kernels._signatures import KERNELS, rebind

ABOUT = "edgecl_kernels_about"
IN_TURN = "edgecl_kernels_in_turn"
LIBC = frozenset({"memcpy", "memmove", "memset"})  # all that a kernel may call
_SLOT = 8
VERSION = f"numba {numba.__version__}, LLVM {'.'.join(map(str, llvm.llvm_version_info))}"


OLDEST = (0, 68)  # numba that compiles the library; what an older one makes was not tried, or is no IR for its LLVM


class KernelError(Exception):
    """A kernel needs something that a device lacks, or may do what a kernel must not; or numba is too old."""


def kernel_objects(machine: str, cpus: dict[str, Processor]) -> Iterator[tuple[str, bytes]]:
    """Yield (symbol, object file) of every kernel for every processor of `cpus`.

    Raises
    ------
    KernelError
        A kernel is none that can be shipped, or numba is too old to compile one.
    """
    if numba.version_info.short < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise KernelError(f"numba {numba.__version__} is installed, the library needs {wanted} or newer: upgrade numba")
    targets = {cpu: target_machine(machine, cpu, about.features) for cpu, about in cpus.items()}
    for name in KERNELS:
        for cpu, target in targets.items():
            tiles = _simd.shape(cpus[cpu].lanes, cpus[cpu].registers) if name in _simd.KERNELS else None
            ir = lowered(name, tiles)
            symbol = symbol_name(name, cpu)
            yield symbol, kernel_object(ir.replace(f"@{name}(", f"@{symbol}("), symbol, target)


def symbol_name(kernel: str, cpu: str) -> str:
    """Name of the C function of a kernel for a processor."""
    return f"{kernel}__{cpu.replace('-', '_')}"


def data_object(machine: str, name: str, content: bytes) -> bytes:
    """Return an object file that defines `content`, ended by a zero, as the symbol `name`."""
    literal = "".join(f"\\{byte:02x}" for byte in content + b"\0")
    ir = f'@{name} = constant [{len(content) + 1} x i8] c"{literal}"'
    return bytes(target_machine(machine, "generic", "").emit_object(parsed(ir)))


def in_turn_object(machine: str) -> bytes:
    """Return an object file of what makes calls of kernels in turn, up to the first that returns 0.

    Its block has their number, then for each the address of its C function and that of its block.
    """
    ir = f"""
        define i64 @{IN_TURN}(ptr %slots) {{
            %count = load i64, ptr %slots
            br label %next
        next:
            %i = phi i64 [0, %0], [%after, %call]
            %last = phi i64 [1, %0], [%result, %call]
            %is_left = icmp ult i64 %i, %count
            %goes_on = icmp ne i64 %last, 0
            %both = and i1 %is_left, %goes_on
            br i1 %both, label %call, label %done
        call:
            %at = shl i64 %i, 1
            %at_function = add i64 %at, 1
            %at_block = add i64 %at, 2
            %p = getelementptr i64, ptr %slots, i64 %at_function
            %q = getelementptr i64, ptr %slots, i64 %at_block
            %function = load ptr, ptr %p
            %block = load ptr, ptr %q
            %result = call i64 %function(ptr %block)
            %after = add i64 %i, 1
            br label %next
        done:
            ret i64 %last
        }}"""
    return bytes(target_machine(machine, "generic", "").emit_object(parsed(ir)))


@cache
def target_machine(machine: str, cpu: str, features: str) -> Any:
    """LLVM's code generator for a processor on Linux."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(f"{machine}-unknown-linux-gnu")
    return target.create_target_machine(cpu=cpu, features=features, opt=3, reloc="pic", codemodel="default")


@cache
def lowered(name: str, tiles: _simd.Shape | None) -> str:
    """LLVM assembly of a kernel with such tiles and of the C function of the same name that calls it, not optimised."""
    function, signature, fastmath = KERNELS[name]
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **_jit.options(fastmath)}
    try:
        kernel: Any = njit(signature, **options)(rebind(function, _jit.helpers(tiles)))
    except NumbaError as error:
        raise KernelError(f"{name}: {error}") from error
    (compiled,) = kernel.overloads.values()
    ir = compiled.library.get_llvm_str()
    ir = re.sub(r"^target (triple|datalayout) = .*$", "", ir, flags=re.MULTILINE)
    # the square root of libm and of the processor have the same bits: IEEE 754 leaves no choice
    ir = ir.replace("@sqrt(", "@llvm.sqrt.f64(").replace("@sqrtf(", "@llvm.sqrt.f32(")
    return str(ir) + entry_point(name, compiled.fndesc, compiled.signature.return_type)


def entry_point(name: str, described: Any, result: Any) -> str:
    """LLVM assembly of `result name(slots)`, which calls the compiled function that `described` describes.

    That function answers 0 unless it raises. A kernel raises nothing: the trap proves it by vanishing.
    """
    lines: list[str] = []
    arguments: list[str] = []
    slot = 0
    for kind in described.argtypes:
        made, passed, count = unpacked(kind, slot)
        lines += made
        arguments += passed
        slot += count
    kept = {types.none: "ptr", types.int64: "i64", types.float64: "double"}[result]
    returned, ended = ("void", "ret void") if result == types.none else (kept, f"ret {kept} %value")
    return f"""
        declare void @llvm.trap()
        define {returned} @{name}(ptr %slots) {{
            %result = alloca {kept}
            %raised = alloca ptr
            {NEWLINE.join(lines)}
            %status = call i32 @{described.llvm_func_name}(ptr %result, ptr %raised, {", ".join(arguments)})
            %failed = icmp ne i32 %status, 0
            br i1 %failed, label %trap, label %done
        trap:
            call void @llvm.trap()
            unreachable
        done:
            %value = load {kept}, ptr %result
            {ended}
        }}"""


NEWLINE = "\n            "


def unpacked(kind: Any, slot: int) -> tuple[list[str], list[str], int]:
    """Return instructions that read an argument from `slot` on, what numba passes for it, and the slots used.

    numba passes an array as owner (2), number of elements, their size, address, lengths, strides.
    """
    if not isinstance(kind, types.Array):
        loaded = {types.int64: "i64", types.float32: "double"}[kind]
        lines = load(f"a{slot}", loaded, slot)
        if kind == types.float32:
            return [*lines, f"%f{slot} = fptrunc double %a{slot} to float"], [f"float %f{slot}"], 1
        return lines, [f"i64 %a{slot}"], 1
    size = kind.dtype.bitwidth // 8
    lengths = [f"%a{slot + 1 + axis}" for axis in range(kind.ndim)]
    lines = load(f"a{slot}", "ptr", slot)
    for axis in range(kind.ndim):
        lines += load(f"a{slot + 1 + axis}", "i64", slot + 1 + axis)
    strides = [str(size)]
    for length in reversed(lengths):
        product = f"%s{slot}_{len(strides)}"
        lines.append(f"{product} = mul i64 {strides[0]}, {length}")
        strides.insert(0, product)
    total = f"%n{slot}"
    lines.append(f"{total} = sdiv i64 {strides[0]}, {size}")
    numbers = [total, str(size)]
    passed = ["ptr null", "ptr null", *(f"i64 {one}" for one in numbers), f"ptr %a{slot}"]
    return lines, passed + [f"i64 {one}" for one in (*lengths, *strides[1:])], 1 + kind.ndim


def load(name: str, kind: str, slot: int) -> list[str]:
    """Instructions that load the slot of an argument block."""
    return [f"%p{slot} = getelementptr i8, ptr %slots, i64 {slot * _SLOT}", f"%{name} = load {kind}, ptr %p{slot}"]


def kernel_object(ir: str, symbol: str, target: Any) -> bytes:
    """Optimise a lowered kernel for its target and return the object file, in which only `symbol` is seen."""
    module = parsed(ir)
    module.triple, module.data_layout = target.triple, str(target.target_data)
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    for variable in module.global_variables:
        variable.linkage = "internal"
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_unrolling = True
    passes = llvm.create_pass_builder(target, tuning)
    passes.getModulePassManager().run(module, passes)
    rest = llvm.create_new_module_pass_manager()  # that a function too large to be inlined always answers 0
    rest.add_ipsccp_pass()
    rest.add_simplify_cfg_pass()
    rest.add_strip_dead_prototype_pass()
    rest.run(module, passes)
    made = bytes(target.emit_object(module))
    check(symbol, str(module), made)
    return made


def parsed(ir: str) -> Any:
    """Return the module of LLVM assembly, verified."""
    module = llvm.parse_assembly(ir)
    module.verify()
    return module


def check(symbol: str, ir: str, content: bytes) -> None:
    """Refuse a kernel, as optimised and as an object file, that needs more than a device has."""
    foreign = set(_elf.symbols(content).needed) - LIBC
    if foreign:
        raise KernelError(f"{symbol} needs {', '.join(sorted(foreign))}")
    if "@llvm.trap" in ir:
        raise KernelError(f"{symbol} may raise an exception")
    if re.search(r"inttoptr \(i64 \d+", ir):
        raise KernelError(f"{symbol} holds an address of the process that compiled it")
