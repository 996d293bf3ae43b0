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
    vectors: int  # of columns


def shape(lanes: int, registers: int) -> Shape:
    """Tiles for vectors of `lanes` floats; of five that were timed with 16 registers, these were the fastest."""
    if registers >= 32:
        return Shape(lanes, (6, 3, 1), 4)
    return Shape(lanes, (6, 3, 1), 2) if lanes == 8 else Shape(lanes, (4, 2, 1), 2)


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
    return array.data, cgutils.unpack_tuple(builder, array.shape)  # type: ignore[no-untyped-call]


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
    def descend_tile(typing: Any, parameters: Any, x: Any, p: Any, c0: Any, d0: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = _Code(builder, lanes)
            data, (_, rows, columns) = _array(context, builder, signature.args[0], given[0])
            x, p = (_array(context, builder, signature.args[i], given[i]) for i in (1, 2))
            sums = _sums(code, x, p, (given[3], given[4]), (classes, vectors), squared=False)
            numbers = cgutils.unpack_tuple(builder, given[5])  # type: ignore[no-untyped-call]
            momentum, rate, strength = map(code.spread, numbers)
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

        return types.void(parameters, x, p, types.int64, types.int64, numbers), generate

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
    def fisher_tile(typing: Any, fisher: Any, x: Any, q: Any, c0: Any, d0: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = _Code(builder, lanes)
            data, (_, columns) = _array(context, builder, signature.args[0], given[0])
            x, q = (_array(context, builder, signature.args[i], given[i]) for i in (1, 2))
            sums = _sums(code, x, q, (given[3], given[4]), (classes, vectors), squared=True)
            for c in range(classes):
                row = builder.mul(builder.add(given[3], code.whole(c)), columns)
                for v in range(vectors):
                    place = code.at(data, builder.add(row, given[4]), v * lanes)
                    code.store(builder.fadd(code.load(place), sums[c * vectors + v]), place)
            return context.get_dummy_value()

        return types.void(fisher, x, q, types.int64, types.int64, numbers), generate

    return fisher_tile


def _band(tile: Any, of: Shape, classes: int, options: dict[str, Any]) -> Any:
    """Tiles of so many classes side by side, from one column to another."""
    lanes, wide = of.lanes, of.lanes * of.vectors
    wide_tile, narrow_tile = tile(lanes, classes, of.vectors), tile(lanes, classes, 1)

    @njit(**options)
    def band(out, x, p, c, first, last, numbers):  # type: ignore[no-untyped-def]
        stop = last - (last - first) % wide
        for d in range(first, stop, wide):
            wide_tile(out, x, p, c, d, numbers)
        for d in range(stop, last, lanes):
            narrow_tile(out, x, p, c, d, numbers)

    return band


def _all_tiles(tile: Any, of: Shape, options: dict[str, Any]) -> Any:
    """Every class and the first `columns`, a multiple of the lanes, panel by panel."""
    most, some, _ = of.classes
    most_band, some_band, one_band = (_band(tile, of, classes, options) for classes in of.classes)

    @njit(**options)
    def all_tiles(out, x, p, classes, columns, numbers):  # type: ignore[no-untyped-def]
        for first in range(0, columns, _PANEL):
            last = min(first + _PANEL, columns)
            c = 0
            while c < classes:
                if classes - c >= most:
                    most_band(out, x, p, c, first, last, numbers)
                    c += most
                elif classes - c >= some:
                    some_band(out, x, p, c, first, last, numbers)
                    c += some
                else:
                    one_band(out, x, p, c, first, last, numbers)
                    c += 1

    return all_tiles


def vectorised(of: Shape, options: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    """Compiled functions that take the place of the plain ones of the same names; `plain` are compiled helpers."""
    lanes = of.lanes
    update_columns, add_columns = plain["update_columns"], plain["add_columns"]
    descend_tiles, fisher_tiles = (_all_tiles(tile, of, options) for tile in (_descend_tile, _fisher_tile))

    @njit(**options)
    def update_parameters(parameters, x, p, momentum, rate, strength):  # type: ignore[no-untyped-def]
        whole = parameters.shape[2] - parameters.shape[2] % lanes
        descend_tiles(parameters, x, p, parameters.shape[1], whole, (momentum, rate, strength))
        update_columns(parameters, x, p, momentum, rate, strength, whole)

    @njit(**options)
    def add_block(x, q, fisher):  # type: ignore[no-untyped-def]
        whole = fisher.shape[1] - fisher.shape[1] % lanes
        fisher_tiles(fisher, x, q, fisher.shape[0], whole, ())
        add_columns(x, q, fisher, whole)

    return {"update_parameters": update_parameters, "add_block": add_block}
