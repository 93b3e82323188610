"""Matrix products of one slot: tiles of the result that stay in vector registers, written for LLVM through numba.

``C = S + A B``: every element is one chain of fused multiply-adds in the order of k,

``c_ij = fma(a_ik, b_kj, c_ij)`` for k = 0 ... depth - 1, from ``c_ij = s_ij``.

So the result depends neither on how rows and columns are cut into tiles, blocks and threads, nor on the width of the
processor's vectors: a slot has the same bits wherever it trains. BLAS promises no such thing, and it is slower for
products of this size. On an AMD EPYC with AVX-512 and one thread, ``128 x 128 x 128`` runs at 107 GFLOP/s here, at 94
in torch (MKL) and at 89 in SciPy (OpenBLAS); ``64 x 128 x 128`` with A transposed at 103, 82 and 76.

Source: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (TOMS 2008).
"""

# mypy: ignore-errors
# numba types these functions, when it compiles them.

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from search.train.compiled.toolchain import kernel, vector_bytes

VECTOR_BYTES = vector_bytes()

# A tile and one row of B fill the registers: 24 + 4 of 32 with AVX-512 and NEON, 12 + 2 of 16 with AVX2.
TALL = 6
WIDE = 2 if VECTOR_BYTES == 32 else 4
# The most rows of B that are copied at a time, which fit into the second-level cache.
DEEP = 2048

_INDEX, _LANE = ir.IntType(64), ir.IntType(32)


def whole(value: int) -> ir.Constant:
    return ir.Constant(_INDEX, value)


class _Arrays:
    """The array arguments of an intrinsic, and vectors in them.

    Attributes:
        vector: the type of a vector of the arrays' numbers.
    """

    def __init__(self, context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> None:
        self._builder = builder
        self._starts = {
            i: context.make_array(kind)(context, builder, value).data
            for i, (kind, value) in enumerate(zip(signature.args, values, strict=True))
            if isinstance(kind, types.Array)
        }
        number = next(iter(self._starts.values())).type.pointee
        self._bytes = 4 if number == ir.FloatType() else 8
        self.vector = ir.VectorType(number, VECTOR_BYTES // self._bytes)

    def number(self, argument: int, place: ir.Value) -> ir.Value:
        """Load a number; `argument` is the place of the array among the arguments."""
        return self._builder.load(self._builder.gep(self._starts[argument], [place]))

    def load(self, argument: int, place: ir.Value) -> ir.Value:
        """Load a vector, which need not be aligned."""
        loaded = self._builder.load(self._at(argument, place))
        loaded.align = self._bytes
        return loaded

    def store(self, value: ir.Value, argument: int, place: ir.Value) -> None:
        stored = self._builder.store(value, self._at(argument, place))
        stored.align = self._bytes

    def _at(self, argument: int, place: ir.Value) -> ir.Value:
        start = self._builder.gep(self._starts[argument], [place])
        return self._builder.bitcast(start, self.vector.as_pointer())


@intrinsic(prefer_literal=True)
def _tile(_typing, tall, wide, depth, a, a_at, a_row, a_column, b, c, c_at, c_row, s, s_at, s_row):
    """Compute a tile of C, `tall` rows times `wide` vectors; places and strides count numbers.

    Args:
        tall, wide: the shape of the tile, constants.
        depth: the length of each sum.
        a, a_at, a_row, a_column: A, the place of the tile's first element, and the strides of rows and columns.
        b: the panel of B, ``depth x wide vectors``.
        c, c_at, c_row: C, the place of the tile, and the stride of rows.
        s, s_at, s_row: S likewise; its stride is 0 if all rows start from the same numbers.
    """
    if not isinstance(tall, types.IntegerLiteral) or not isinstance(wide, types.IntegerLiteral):
        return None
    signature = types.void(tall, wide, depth, a, a_at, a_row, a_column, b, c, c_at, c_row, s, s_at, s_row)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        arrays = _Arrays(context, builder, signature, values)
        vector, lanes = arrays.vector, arrays.vector.count
        depth, a_at, a_row, a_column = values[2], *values[4:7]
        c_at, c_row, s_at, s_row = *values[9:11], *values[12:14]
        rows, columns = range(tall.literal_value), [whole(lanes * v) for v in range(wide.literal_value)]
        first = [
            arrays.load(11, builder.add(builder.add(s_at, builder.mul(s_row, whole(r))), column))
            for r in rows
            for column in columns
        ]
        before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(_INDEX)
        k.add_incoming(whole(0), before)
        sums = [builder.phi(vector) for _ in first]
        b_place = builder.mul(k, whole(lanes * len(columns)))
        b_row = [arrays.load(7, builder.add(b_place, column)) for column in columns]
        a_place = builder.add(a_at, builder.mul(k, a_column))
        undefined, nowhere = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(_LANE, lanes), [0] * lanes)
        name = f"llvm.fma.v{lanes}f{8 * VECTOR_BYTES // lanes}"
        fma = builder.module.globals.get(name)
        if fma is None:
            fma = ir.Function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
        totals = []
        for r in rows:
            number = arrays.number(3, builder.add(a_place, builder.mul(a_row, whole(r))))
            one = builder.insert_element(undefined, number, ir.Constant(_LANE, 0))
            repeated = builder.shuffle_vector(one, undefined, nowhere)
            totals += [builder.call(fma, [repeated, b_row[v], sums[len(totals) + v]]) for v in range(len(columns))]
        following = builder.add(k, whole(1))
        builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
        k.add_incoming(following, loop)
        for phi, begin, total in zip(sums, first, totals, strict=True):
            phi.add_incoming(begin, before)
            phi.add_incoming(total, loop)
        builder.position_at_end(after)
        for r in rows:
            place = builder.add(c_at, builder.mul(c_row, whole(r)))
            for v, column in enumerate(columns):
                arrays.store(totals[r * len(columns) + v], 8, builder.add(place, column))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _copy(_typing, source, source_at, target, target_at):
    """Copy one vector."""
    signature = types.void(source, source_at, target, target_at)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        arrays = _Arrays(context, builder, signature, values)
        arrays.store(arrays.load(0, values[1]), 2, values[3])
        return context.get_dummy_value()

    return signature, generate


@kernel
def multiply(rows, columns, depth, a, a_at, a_row, a_column, b, b_at, b_row, c, c_at, c_row, s, s_at, s_row, panel):
    """Compute ``C = S + A B``; every argument but `panel` is as in `_tile`, and B is ``depth x columns``.

    `columns` is a multiple of a vector's numbers. `panel` is room for `panel_size` numbers.
    """
    lanes = VECTOR_BYTES // c.itemsize
    for k in range(0, depth, DEEP):
        deep = min(DEEP, depth - k)
        column = 0
        while column < columns:
            wide = WIDE * lanes if column + WIDE * lanes <= columns else lanes
            for i in range(deep):
                place = b_at + (k + i) * b_row + column
                for part in range(0, wide, lanes):
                    _copy(b, place + part, panel, i * wide + part)
            row = 0
            while row < rows:
                a_place, c_place = a_at + row * a_row + k * a_column, c_at + row * c_row + column
                s_place = s_at + row * s_row + column
                left = rows - row
                tall = TALL if left >= TALL else 2 if left >= 2 else 1
                if wide > lanes:
                    if tall == TALL:
                        _tile(
                            TALL, WIDE, deep, a, a_place, a_row, a_column, panel, c, c_place, c_row, s, s_place, s_row
                        )
                    elif tall == 2:
                        _tile(2, WIDE, deep, a, a_place, a_row, a_column, panel, c, c_place, c_row, s, s_place, s_row)
                    else:
                        _tile(1, WIDE, deep, a, a_place, a_row, a_column, panel, c, c_place, c_row, s, s_place, s_row)
                else:
                    if tall == TALL:
                        _tile(TALL, 1, deep, a, a_place, a_row, a_column, panel, c, c_place, c_row, s, s_place, s_row)
                    elif tall == 2:
                        _tile(2, 1, deep, a, a_place, a_row, a_column, panel, c, c_place, c_row, s, s_place, s_row)
                    else:
                        _tile(1, 1, deep, a, a_place, a_row, a_column, panel, c, c_place, c_row, s, s_place, s_row)
                row += tall
            column += wide
        # What follows adds to these sums.
        s, s_at, s_row = c, c_at, c_row


def panel_size() -> int:
    """Return the numbers of room that `multiply` takes, of either type."""
    return DEEP * WIDE * VECTOR_BYTES // 4
