"""The two loops that compilers vectorise badly, written as LLVM vectors: products of a transposed block with rows.

A tile of classes and columns is summed over all rows in registers, then written once. With plain loops, four rows at a
time, sums went through the cache: steps took 1.4 to 1.5 times as long as hand-fused C, now 1.0 to 1.1. The other loops
stay plain: the dot products run at 80 % of the processor's peak as they are (tools/bench_peers).

Each function here has a twin of the same name among the plain ones, which says what it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

KERNELS = frozenset({"refine_steps", "fisher_diagonal"})  # that use them
_PANEL = 256  # columns whose rows stay in the first-level cache over all classes
_TINY = 1e-20  # refine._TINY
_FUSED = ("contract",)  # one rounding for a product and a sum where the processor has that; sums are not reordered


class Shape(NamedTuple):
    """What fits the registers of a processor."""

    lanes: int  # floats of a vector
    classes: tuple[int, int, int]  # of a tile: most, and for what is left
    vectors: int = 4  # of columns


def shape(lanes: int, registers: int) -> Shape:
    """Tiles for vectors of `lanes` floats."""
    return Shape(lanes, (6, 3, 1) if registers >= 32 else (2, 2, 1))


class _Code:
    """Writes instructions on vectors."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.vector = ir.VectorType(ir.FloatType(), lanes)

    def whole(self, value: int) -> Any:
        return ir.Constant(ir.IntType(64), value)

    def constant(self, value: float) -> Any:
        return ir.Constant(self.vector, [ir.Constant(ir.FloatType(), value)] * self.lanes)

    def at(self, pointer: Any, offset: Any, step: int = 0) -> Any:
        """Address of a float: `offset + step` after `pointer`."""
        return self.builder.gep(pointer, [self.builder.add(offset, self.whole(step))])

    def load(self, pointer: Any) -> Any:
        value = self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()))
        value.align = 4
        return value

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, self.vector.as_pointer())).align = 4

    def spread(self, scalar: Any) -> Any:
        """A vector of one number."""
        nothing = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, nothing, lanes)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.fadd(self.builder.fmul(a, b, flags=_FUSED), c, flags=_FUSED)

    def summed(self, count: Any, start: Sequence[Any], body: Callable[[Any, Sequence[Any]], Sequence[Any]]) -> Any:
        """`values = body(i, values)` for i = 0 ... count - 1."""
        builder, before = self.builder, self.builder.block
        head, inside, after = (builder.append_basic_block(name) for name in ("rows", "row", "summed"))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(ir.IntType(64))
        values = [builder.phi(value.type) for value in start]
        builder.cbranch(builder.icmp_signed("<", index, count), inside, after)
        builder.position_at_end(inside)
        made = body(index, values)
        following, end = builder.add(index, self.whole(1)), builder.block
        builder.branch(head)
        for phi, first, later in zip([index, *values], [self.whole(0), *start], [following, *made], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, end)
        builder.position_at_end(after)
        return values


def _array(context: Any, builder: Any, kind: Any, value: Any) -> tuple[Any, list[Any]]:
    """Address and lengths of an array."""
    array = context.make_array(kind)(context, builder, value)
    return array.data, cgutils.unpack_tuple(builder, array.shape)


def _sums(code: _Code, x: Any, p: Any, origin: tuple[Any, Any], tile: tuple[int, int], *, squared: bool) -> Any:
    """Σ_b p[b, c] x[b, d] (or x²) by class and vector of a tile at `origin`; x and p are (address, lengths)."""
    builder, (classes, vectors) = code.builder, tile
    (x_data, (rows, columns)), (p_data, (_, stride)), (c0, d0) = x, p, origin

    def row(b: Any, sums: Sequence[Any]) -> list[Any]:
        x_at, p_at = builder.add(builder.mul(b, columns), d0), builder.add(builder.mul(b, stride), c0)
        held = [code.load(code.at(x_data, x_at, v * code.lanes)) for v in range(vectors)]
        if squared:
            held = [builder.fmul(value, value) for value in held]
        made = []
        for c in range(classes):
            weight = code.spread(builder.load(code.at(p_data, p_at, c)))
            made += [code.multiply_add(weight, held[v], sums[c * vectors + v]) for v in range(vectors)]
        return made

    return code.summed(rows, [code.constant(0.0)] * (classes * vectors), row)


def _descend_tile(lanes: int, classes: int, vectors: int) -> Any:
    """Momentum, gradient, descent and proximal step of a tile of parameters."""

    @intrinsic
    def descend_tile(
        typing: Any, parameters: Any, x: Any, p: Any, c0: Any, d0: Any, momentum: Any, rate: Any, strength: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = _Code(builder, lanes)
            data, (_, rows, columns) = _array(context, builder, signature.args[0], given[0])
            x, p = (_array(context, builder, signature.args[i], given[i]) for i in (1, 2))
            sums = _sums(code, x, p, (given[3], given[4]), (classes, vectors), squared=False)
            momentum, rate, strength = map(code.spread, given[5:])
            plane = builder.mul(rows, columns)  # weights, velocity, precision, anchor
            for c in range(classes):
                row = builder.mul(builder.add(given[3], code.whole(c)), columns)
                for v in range(vectors):
                    at = code.at(data, builder.add(row, given[4]), v * lanes)
                    places = [builder.gep(at, [builder.mul(plane, code.whole(k))]) for k in range(4)]
                    weight, velocity, precision, anchor = map(code.load, places)
                    velocity = code.multiply_add(momentum, velocity, sums[c * vectors + v])
                    velocity = _flushed(code, velocity)
                    pull = builder.fmul(strength, precision)
                    # - (rate v) + θ, then + s θ*, as the twin has it
                    moved = builder.fsub(weight, builder.fmul(rate, velocity, flags=_FUSED), flags=_FUSED)
                    moved = code.multiply_add(pull, anchor, moved)
                    code.store(velocity, places[1])
                    code.store(builder.fdiv(moved, builder.fadd(pull, code.constant(1.0))), places[0])
            return context.get_dummy_value()

        whole, real = types.int64, types.float32
        return types.void(parameters, x, p, whole, whole, real, real, real), generate

    return descend_tile


def _flushed(code: _Code, value: Any) -> Any:
    """0 for a number that is nearly denormal; NaN stays."""
    builder = code.builder
    small = builder.and_(
        builder.fcmp_ordered("<", value, code.constant(_TINY)), builder.fcmp_ordered(">", value, code.constant(-_TINY))
    )
    return builder.select(small, code.constant(0.0), value)


def _fisher_tile(lanes: int, classes: int, vectors: int) -> Any:
    """fisher += qᵀx² for a tile."""

    @intrinsic
    def fisher_tile(typing: Any, x: Any, q: Any, c0: Any, d0: Any, fisher: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = _Code(builder, lanes)
            x, q = (_array(context, builder, signature.args[i], given[i]) for i in (0, 1))
            data, (_, columns) = _array(context, builder, signature.args[4], given[4])
            sums = _sums(code, x, q, (given[2], given[3]), (classes, vectors), squared=True)
            for c in range(classes):
                row = builder.mul(builder.add(given[2], code.whole(c)), columns)
                for v in range(vectors):
                    place = code.at(data, builder.add(row, given[3]), v * lanes)
                    code.store(builder.fadd(code.load(place), sums[c * vectors + v]), place)
            return context.get_dummy_value()

        return types.void(x, q, types.int64, types.int64, fisher), generate

    return fisher_tile


def vectorised(of: Shape, options: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    """Compiled functions that take the place of the plain ones of the same names; `plain` are compiled helpers."""
    lanes, (most, some, _), vectors = of
    wide = lanes * vectors
    update_columns, add_columns = plain["update_columns"], plain["add_columns"]
    descend = [[_descend_tile(lanes, c, v) for v in (vectors, 1)] for c in of.classes]
    add = [[_fisher_tile(lanes, c, v) for v in (vectors, 1)] for c in of.classes]
    (d_most_wide, d_most), (d_some_wide, d_some), (d_one_wide, d_one) = descend
    (f_most_wide, f_most), (f_some_wide, f_some), (f_one_wide, f_one) = add

    @njit(**options)
    def update_parameters(parameters, x, p, momentum, rate, strength):  # type: ignore[no-untyped-def]
        classes, columns = parameters.shape[1], parameters.shape[2]
        whole = columns - columns % lanes
        for panel in range(0, whole, _PANEL):
            end = min(panel + _PANEL, whole)
            stop = end - (end - panel) % wide
            c = 0
            while c < classes:
                left = classes - c
                if left >= most:
                    for d in range(panel, stop, wide):
                        d_most_wide(parameters, x, p, c, d, momentum, rate, strength)
                    for d in range(stop, end, lanes):
                        d_most(parameters, x, p, c, d, momentum, rate, strength)
                    c += most
                elif left >= some:
                    for d in range(panel, stop, wide):
                        d_some_wide(parameters, x, p, c, d, momentum, rate, strength)
                    for d in range(stop, end, lanes):
                        d_some(parameters, x, p, c, d, momentum, rate, strength)
                    c += some
                else:
                    for d in range(panel, stop, wide):
                        d_one_wide(parameters, x, p, c, d, momentum, rate, strength)
                    for d in range(stop, end, lanes):
                        d_one(parameters, x, p, c, d, momentum, rate, strength)
                    c += 1
        update_columns(parameters, x, p, momentum, rate, strength, whole)

    @njit(**options)
    def add_block(x, q, fisher):  # type: ignore[no-untyped-def]
        classes, columns = fisher.shape
        whole = columns - columns % lanes
        for panel in range(0, whole, _PANEL):
            end = min(panel + _PANEL, whole)
            stop = end - (end - panel) % wide
            c = 0
            while c < classes:
                left = classes - c
                if left >= most:
                    for d in range(panel, stop, wide):
                        f_most_wide(x, q, c, d, fisher)
                    for d in range(stop, end, lanes):
                        f_most(x, q, c, d, fisher)
                    c += most
                elif left >= some:
                    for d in range(panel, stop, wide):
                        f_some_wide(x, q, c, d, fisher)
                    for d in range(stop, end, lanes):
                        f_some(x, q, c, d, fisher)
                    c += some
                else:
                    for d in range(panel, stop, wide):
                        f_one_wide(x, q, c, d, fisher)
                    for d in range(stop, end, lanes):
                        f_one(x, q, c, d, fisher)
                    c += 1
        add_columns(x, q, fisher, whole)

    return {"update_parameters": update_parameters, "add_block": add_block}
