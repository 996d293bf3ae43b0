"""Writing LLVM instructions on vectors, for `_simd`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

_FUSED = ("contract",)  # one rounding for a product and a sum where the processor has that; sums are not reordered
_FLOAT = ir.FloatType()


class Code:
    """Writes instructions on vectors of `lanes` numbers; `kind` float or double."""

    def __init__(self, builder: Any, lanes: int, kind: Any = _FLOAT) -> None:
        self.builder, self.lanes, self.kind = builder, lanes, kind
        self.vector = ir.VectorType(kind, lanes)

    def whole(self, value: int) -> Any:
        return ir.Constant(ir.IntType(64), value)

    def constant(self, value: float) -> Any:
        return ir.Constant(self.vector, [ir.Constant(self.kind, value)] * self.lanes)

    def at(self, pointer: Any, offset: Any, step: int = 0) -> Any:
        """Address of a number: `offset + step` after `pointer`."""
        return self.builder.gep(pointer, [self.builder.add(offset, self.whole(step))])

    def row(self, array: Array, index: Any, step: int = 0) -> Any:
        """Address of the row `index + step` of a matrix."""
        return self.builder.gep(
            array.data, [self.builder.mul(self.builder.add(index, self.whole(step)), array.lengths[1])]
        )

    def load(self, pointer: Any) -> Any:
        """Read a vector; floats become doubles where those are wanted."""
        held = ir.VectorType(pointer.type.pointee, self.lanes)
        value = self.builder.load(self.builder.bitcast(pointer, held.as_pointer()))
        value.align = 4
        return value if held == self.vector else self.builder.fpext(value, self.vector)

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, self.vector.as_pointer())).align = 4

    def spread(self, scalar: Any) -> Any:
        """A vector of one number."""
        if scalar.type != self.kind:
            scalar = self.builder.fpext(scalar, self.kind)
        nothing = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
        return self.shuffled(first, nothing, [0] * self.lanes)

    def shuffled(self, a: Any, b: Any, places: Sequence[int]) -> Any:
        """A vector of chosen lanes of two."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
        return self.builder.shuffle_vector(a, b, mask)

    def first(self, last: Any, value: Any) -> Any:
        """A vector with 0 in the lanes after `last`."""
        numbers = ir.VectorType(ir.IntType(64), self.lanes)
        nothing = ir.Constant(numbers, ir.Undefined)
        bound = self.builder.insert_element(nothing, last, ir.Constant(ir.IntType(32), 0))
        bound = self.shuffled(bound, nothing, [0] * self.lanes)
        lane = ir.Constant(numbers, [ir.Constant(ir.IntType(64), i) for i in range(self.lanes)])
        return self.builder.select(self.builder.icmp_signed("<=", lane, bound), value, self.constant(0.0))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.fadd(self.builder.fmul(a, b, flags=_FUSED), c, flags=_FUSED)

    def negative_multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """c - a b."""
        return self.builder.fsub(c, self.builder.fmul(a, b, flags=_FUSED), flags=_FUSED)

    def repeated(self, count: Any, start: Sequence[Any], body: Callable[[Any, Sequence[Any]], Sequence[Any]]) -> Any:
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

    def totals(self, vectors: Sequence[Any]) -> list[Any]:
        """The sum of the lanes of each vector; the order of a sum does not depend on how many there are.

        Four at a time: neighbours are added within pairs of vectors, twice, and then the halves of what is left.
        """
        four = [*vectors[:4], *[vectors[-1]] * (4 - len(vectors))]
        value = self._neighbours(self._neighbours(*four[:2]), self._neighbours(*four[2:]))
        lanes = self.lanes
        while lanes > 4:
            lanes //= 2
            low, high = (self.shuffled(value, value, range(first, first + lanes)) for first in (0, lanes))
            value = self.builder.fadd(low, high)
        numbers = [self.builder.extract_element(value, ir.Constant(ir.IntType(32), i)) for i in range(4)]
        return numbers[: len(vectors)] + (self.totals(vectors[4:]) if vectors[4:] else [])

    def _neighbours(self, a: Any, b: Any) -> Any:
        """Sums of neighbouring lanes: two of a, then two of b, in each four lanes."""
        even, odd = [
            [g + first + n for g in range(0, self.lanes, 4) for n in (0, 2, self.lanes, self.lanes + 2)]
            for first in (0, 1)
        ]
        return self.builder.fadd(self.shuffled(a, b, even), self.shuffled(a, b, odd))


class Array:
    """Address and lengths of an array that a kernel was given."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self.data = array.data
        self.lengths: list[Any] = cgutils.unpack_tuple(builder, array.shape)  # type: ignore[no-untyped-call]
