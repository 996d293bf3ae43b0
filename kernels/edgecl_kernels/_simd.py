"""The products, written as LLVM vectors: rows with classes, a transposed block with rows, rows with one row.

A tile of the result is summed in as many registers as the processor has, then written once, with what follows from it
(the update step; the Fisher sum). Compilers keep such tiles in registers only where they are written down so.
tools/bench_peers sets them beside hand-fused C of the same vector width.

Each function here has a twin of the same name among the plain ones, which says what it computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from edgecl_kernels._vectors import Array, Code

# that use them
KERNELS = frozenset(
    {"scores", "refine_steps", "fisher_diagonal", "herding_order", "scatter_update", "scatter_update_f32"}
)
_PANEL, _FEW = 256, 32  # columns of so many rows that stay in the first-level cache over all classes: 32 KiB
_ROWS = 64  # rows that stay in the second-level cache over all classes
_TINY = 1e-20  # refine._TINY
_SIDE_BY_SIDE = 8  # rows that are multiplied with one row at once


class Shape(NamedTuple):
    """What fits the registers of a processor."""

    lanes: int  # floats of a vector
    rows: int  # of a tile of products
    columns: int  # classes of such a tile
    classes: int  # of a tile of a transposed product
    vectors: int  # of columns of such a tile


def shape(lanes: int, registers: int) -> Shape:
    """Tiles for vectors of `lanes` floats."""
    if registers >= 32:
        # four-lane loops are unrolled once more, and six columns of them spill
        return Shape(lanes, rows=4, columns=4 if lanes == 4 else 6, classes=6, vectors=4)
    if lanes == 4:  # no fused multiply-add: a product takes a register of its own
        return Shape(lanes, rows=4, columns=2, classes=4, vectors=2)
    return Shape(lanes, rows=4, columns=3, classes=6, vectors=2)


def _product_tile(lanes: int, rows: int, columns: int) -> Any:
    """out[b0 + b, c0 + c] = x[b0 + b] · weights[c0 + c] over the first `whole` columns, a multiple of the lanes."""

    @intrinsic
    def product_tile(typing: Any, x: Any, weights: Any, out: Any, b0: Any, c0: Any, whole: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = Code(builder, lanes)
            x, weights, out = (Array(context, builder, signature.args[i], given[i]) for i in range(3))
            left = [code.row(x, given[3], b) for b in range(rows)]
            right = [code.row(weights, given[4], c) for c in range(columns)]

            def step(index: Any, sums: Sequence[Any]) -> list[Any]:
                at = builder.mul(index, code.whole(lanes))
                held = [code.load(builder.gep(place, [at])) for place in right]
                made = []
                for b, place in enumerate(left):
                    value = code.load(builder.gep(place, [at]))
                    made += [code.multiply_add(value, held[c], sums[b * columns + c]) for c in range(columns)]
                return made

            count = builder.udiv(given[5], code.whole(lanes))
            sums = code.totals(code.repeated(count, [code.constant(0.0)] * (rows * columns), step))
            for b in range(rows):
                place = code.row(out, given[3], b)
                for c in range(columns):
                    builder.store(sums[b * columns + c], code.at(place, given[4], c))
            return context.get_dummy_value()

        return types.void(x, weights, out, types.int64, types.int64, types.int64), generate

    return product_tile


def _products(of: Shape, options: dict[str, Any]) -> Any:
    """out = x weightsᵀ over the first `whole` columns.

    The last tile overlaps the one before it, which gives the same numbers again: every sum has one order, so a row
    scores the same alone as in a batch.
    """

    def band(columns: int) -> Any:
        many, single = _product_tile(of.lanes, of.rows, columns), _product_tile(of.lanes, 1, columns)
        rows = of.rows

        @njit(**options)
        def rows_of_band(x, weights, out, c, first, last, whole):  # type: ignore[no-untyped-def]
            if last - first < rows:
                for b in range(first, last):
                    single(x, weights, out, b, c, whole)
                return
            for b in range(first, last - rows + 1, rows):
                many(x, weights, out, b, c, whole)
            if (last - first) % rows:
                many(x, weights, out, last - rows, c, whole)

        return rows_of_band

    most = of.columns
    most_band, one_band = band(most), band(1)

    @njit(**options)
    def products(x, weights, out, whole):  # type: ignore[no-untyped-def]
        n, classes = x.shape[0], weights.shape[0]
        for first in range(0, n, _ROWS):
            last = min(first + _ROWS, n)
            if classes < most:
                for c in range(classes):
                    one_band(x, weights, out, c, first, last, whole)
            else:
                for c in range(0, classes - most + 1, most):
                    most_band(x, weights, out, c, first, last, whole)
                if classes % most:
                    most_band(x, weights, out, classes - most, first, last, whole)

    return products


def _sums(code: Code, x: Array, p: Array, origin: tuple[Any, Any], tile: tuple[int, int], *, squared: bool) -> Any:
    """Σ_b p[b, c] x[b, d] (or x²) by class and vector of a tile at `origin`."""
    builder, (classes, vectors), (c0, d0) = code.builder, tile, origin
    left, right = code.at(p.data, c0), code.at(x.data, d0)

    def row(b: Any, sums: Sequence[Any]) -> list[Any]:
        x_at, p_at = builder.mul(b, x.lengths[1]), builder.mul(b, p.lengths[1])
        held = [code.load(code.at(right, x_at, v * code.lanes)) for v in range(vectors)]
        if squared:
            held = [builder.fmul(value, value) for value in held]
        made = []
        for c in range(classes):
            weight = code.spread(builder.load(code.at(left, p_at, c)))
            made += [code.multiply_add(weight, held[v], sums[c * vectors + v]) for v in range(vectors)]
        return made

    return code.repeated(x.lengths[0], [code.constant(0.0)] * (classes * vectors), row)


def _descend_tile(lanes: int, classes: int, vectors: int) -> Any:
    """Momentum, gradient, descent and proximal step of a tile of parameters."""

    @intrinsic
    def descend_tile(typing: Any, parameters: Any, x: Any, p: Any, c0: Any, d0: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = Code(builder, lanes)
            out, x, p = (Array(context, builder, signature.args[i], given[i]) for i in range(3))
            _, rows, columns = out.lengths
            sums = _sums(code, x, p, (given[3], given[4]), (classes, vectors), squared=False)
            numbers = cgutils.unpack_tuple(builder, given[5])  # type: ignore[no-untyped-call]
            momentum, rate, strength = map(code.spread, numbers)
            plane = builder.mul(rows, columns)  # weights, velocity, precision, anchor
            for c in range(classes):
                row = builder.mul(builder.add(given[3], code.whole(c)), columns)
                for v in range(vectors):
                    at = code.at(out.data, builder.add(row, given[4]), v * lanes)
                    places = [builder.gep(at, [builder.mul(plane, code.whole(k))]) for k in range(4)]
                    weight, velocity, precision, anchor = map(code.load, places)
                    velocity = code.multiply_add(momentum, velocity, sums[c * vectors + v])
                    velocity = _flushed(code, velocity)
                    pull = builder.fmul(strength, precision)
                    # - (rate v) + θ, then + s θ*, as the twin has it
                    moved = code.negative_multiply_add(rate, velocity, weight)
                    moved = code.multiply_add(pull, anchor, moved)
                    code.store(velocity, places[1])
                    code.store(builder.fdiv(moved, builder.fadd(pull, code.constant(1.0))), places[0])
            return context.get_dummy_value()

        return types.void(parameters, x, p, types.int64, types.int64, numbers), generate

    return descend_tile


def _flushed(code: Code, value: Any) -> Any:
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
            code = Code(builder, lanes)
            out, x, q = (Array(context, builder, signature.args[i], given[i]) for i in range(3))
            sums = _sums(code, x, q, (given[3], given[4]), (classes, vectors), squared=True)
            for c in range(classes):
                row = code.row(out, given[3], c)
                for v in range(vectors):
                    place = code.at(row, given[4], v * lanes)
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


def _fewer(tile: Any, of: Shape, classes: int, options: dict[str, Any]) -> Any:
    """A band of `left` classes, at most `classes`."""
    band = _band(tile, of, classes, options)
    if classes == 1:

        @njit(**options)
        def last_one(out, x, p, c, first, last, numbers, left):  # type: ignore[no-untyped-def]
            band(out, x, p, c, first, last, numbers)

        return last_one
    others = _fewer(tile, of, classes - 1, options)

    @njit(**options)
    def fewer(out, x, p, c, first, last, numbers, left):  # type: ignore[no-untyped-def]
        if left == classes:
            band(out, x, p, c, first, last, numbers)
        else:
            others(out, x, p, c, first, last, numbers, left)

    return fewer


def _all_tiles(tile: Any, of: Shape, options: dict[str, Any]) -> Any:
    """Every class and the first `columns`, a multiple of the lanes, panel by panel."""
    most = of.classes
    band, fewer = _band(tile, of, most, options), _fewer(tile, of, most - 1, options)

    @njit(**options)
    def all_tiles(out, x, p, classes, columns, numbers):  # type: ignore[no-untyped-def]
        panel = _PANEL if x.shape[0] <= _FEW else _PANEL // 2  # a multiple of every tile
        whole, first = classes - classes % most, 0
        while first < columns:
            last = min(first + panel, columns)
            for c in range(0, whole, most):
                band(out, x, p, c, first, last, numbers)
            if whole < classes:
                fewer(out, x, p, whole, first, last, numbers, classes - whole)
            first = last

    return all_tiles


def _centred_tile(lanes: int, rows: int) -> Any:
    """sums[1, first + r] += (x[first + r] - target) · (x[other] - target) over the first `whole` columns."""

    @intrinsic
    def centred_tile(typing: Any, x: Any, other: Any, target: Any, sums: Any, first: Any, whole: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            code = Code(builder, lanes)
            x, target, sums = (Array(context, builder, signature.args[i], given[i]) for i in (0, 2, 3))
            picked, places = code.row(x, given[1]), [code.row(x, given[4], r) for r in range(rows)]

            def step(index: Any, totals: Sequence[Any]) -> list[Any]:
                at = builder.mul(index, code.whole(lanes))
                centre = code.load(builder.gep(target.data, [at]))
                factor = builder.fsub(code.load(builder.gep(picked, [at])), centre)
                made = []
                for place, total in zip(places, totals, strict=True):
                    value = builder.fsub(code.load(builder.gep(place, [at])), centre)
                    made.append(code.multiply_add(value, factor, total))
                return made

            count = builder.udiv(given[5], code.whole(lanes))
            made = code.totals(code.repeated(count, [code.constant(0.0)] * rows, step))
            row = code.row(sums, code.whole(1))
            for r, total in enumerate(made):
                place = code.at(row, given[4], r)
                builder.store(builder.fadd(builder.load(place), total), place)
            return context.get_dummy_value()

        return types.void(x, types.int64, target, sums, types.int64, types.int64), generate

    return centred_tile


def _scatter_tile(lanes: int, rows: int, vectors: int, *, masked: bool) -> Any:
    """Rows i ... of a packed triangle += xᵀx from column j on; masked, what lies right of the diagonal gains 0."""

    @intrinsic
    def scatter_tile(typing: Any, packed: Any, x: Any, i: Any, j: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            bits = signature.args[0].dtype.bitwidth
            code = Code(builder, lanes * 32 // bits, ir.FloatType() if bits == 32 else ir.DoubleType())
            packed, x = (Array(context, builder, signature.args[n], given[n]) for n in range(2))
            sums = _sums(code, x, x, (given[2], given[3]), (rows, vectors), squared=False)
            for r in range(rows):
                row = builder.add(given[2], code.whole(r))
                before = builder.lshr(builder.mul(row, builder.add(row, code.whole(1))), code.whole(1))
                for v in range(vectors):
                    place = code.at(packed.data, builder.add(before, given[3]), v * code.lanes)
                    value = sums[r * vectors + v]
                    if masked:
                        left = builder.sub(row, builder.add(given[3], code.whole(v * code.lanes)))
                        value = code.first(left, value)
                    code.store(builder.fadd(code.load(place), value), place)
            return context.get_dummy_value()

        return types.void(packed, x, types.int64, types.int64), generate

    return scatter_tile


def _scatter_block(of: Shape, add_corner: Any, options: dict[str, Any]) -> Any:
    """packed += xᵀx, panel by panel of columns; short rows first, so that all other bands are whole."""
    rows, vectors = of.classes, of.vectors
    full = _scatter_tile(of.lanes, rows, vectors, masked=False)
    wide_end, narrow_end = (_scatter_tile(of.lanes, rows, v, masked=True) for v in (vectors, 1))
    bytes_wide = 4 * of.lanes

    @njit(**options)
    def end_of_band(packed, x, i, j, last):  # type: ignore[no-untyped-def]
        lanes = bytes_wide // packed.itemsize
        wide = lanes * vectors
        room = min(x.shape[1], packed.size - (i + rows - 1) * (i + rows) // 2)
        while j < last:
            if last - j > lanes and j + wide <= room:
                wide_end(packed, x, i, j)
                j += wide
            elif j + lanes <= room:
                narrow_end(packed, x, i, j)
                j += lanes
            else:
                add_corner(x, i, i + rows, j, packed)
                return

    @njit(**options)
    def scatter_block(x, packed):  # type: ignore[no-untyped-def]
        d = x.shape[1]
        wide = bytes_wide // packed.itemsize * vectors
        panel = _PANEL if x.shape[0] <= _FEW else _PANEL // 2
        short = d % rows
        add_corner(x, 0, short, 0, packed)
        first = 0
        while first < d:
            begin = short + max(first - short, 0) // rows * rows
            for i in range(begin, d, rows):
                last = min(i + rows, first + panel)
                stop = first + max(min(i + 1, first + panel) - first, 0) // wide * wide
                for j in range(first, stop, wide):
                    full(packed, x, i, j)
                end_of_band(packed, x, i, stop, last)
            first += panel

    return scatter_block


def vectorised(of: Shape, options: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    """Compiled functions that take the place of the plain ones of the same names; `plain` are compiled helpers."""
    lanes = of.lanes
    update_columns, add_columns, add_products = plain["update_columns"], plain["add_columns"], plain["add_products"]
    centred_product = plain["centred_product"]
    products = _products(of, options)
    descend_tiles, fisher_tiles = (_all_tiles(tile, of, options) for tile in (_descend_tile, _fisher_tile))
    centred_tiles, one_centred = (_centred_tile(lanes, rows) for rows in (_SIDE_BY_SIDE, 1))

    @njit(**options)
    def multiply_rows(x, weights, out):  # type: ignore[no-untyped-def]
        whole = weights.shape[1] - weights.shape[1] % lanes
        products(x, weights, out, whole)
        if whole < weights.shape[1]:
            add_products(x, weights, out, whole)

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

    @njit(**options)
    def add_centred_products(x, other, target, sums, backwards):  # type: ignore[no-untyped-def]
        n, whole = x.shape[0], target.shape[0] - target.shape[0] % lanes
        together = n - n % _SIDE_BY_SIDE
        for first in range(0, together, _SIDE_BY_SIDE):
            turned = together - _SIDE_BY_SIDE - first if backwards else first
            centred_tiles(x, other, target, sums, turned, whole)
        for first in range(together, n):
            one_centred(x, other, target, sums, first, whole)
        if whole < target.shape[0]:
            for i in range(n):
                sums[1, i] += centred_product(x, i, other, target, whole)

    return {
        "multiply_rows": multiply_rows,
        "update_parameters": update_parameters,
        "add_block": add_block,
        "add_centred_products": add_centred_products,
        "add_scatter": _scatter_block(of, plain["add_corner"], options),
    }
