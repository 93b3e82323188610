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


def _numbers(array: types.Array) -> tuple[ir.Type, ir.VectorType]:
    """Return the type of an array's numbers, and that of a vector of them."""
    number = ir.FloatType() if array.dtype == types.float32 else ir.DoubleType()
    return number, ir.VectorType(number, VECTOR_BYTES // (4 if number == ir.FloatType() else 8))


def _whole(value: int) -> ir.Constant:
    return ir.Constant(_INDEX, value)


def _load(builder: ir.IRBuilder, place: ir.Value, vector: ir.VectorType) -> ir.Value:
    """Load a vector, which need not be aligned."""
    loaded = builder.load(builder.bitcast(place, vector.as_pointer()))
    loaded.align = VECTOR_BYTES // vector.count
    return loaded


def _store(builder: ir.IRBuilder, value: ir.Value, place: ir.Value) -> None:
    stored = builder.store(value, builder.bitcast(place, value.type.as_pointer()))
    stored.align = VECTOR_BYTES // value.type.count


def _tile_function(module: ir.Module, tall: int, wide: int, number: ir.Type, vector: ir.VectorType) -> ir.Function:
    """Return the function of one shape of tile, ``tall rows x wide vectors`` of C, in a module.

    Its arguments are the length of the sums; the tile's first element in A, and the strides of A's rows and columns;
    the panel of B, ``depth x wide vectors``; and the tile's first element in C and in S, each with the stride of rows.
    """
    lanes, pointer = vector.count, number.as_pointer()
    name = f"regsearch_tile_{tall}_{wide}_{lanes}"
    if name in module.globals:
        return module.globals[name]
    kinds = [_INDEX, pointer, _INDEX, _INDEX, pointer, pointer, _INDEX, pointer, _INDEX]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "linkonce_odr"
    # Inlined, the same code would be compiled for every product of every kernel.
    function.attributes.add("noinline")
    depth, a, a_row, a_column, b, c, c_row, s, s_row = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    rows, columns = range(tall), [_whole(lanes * v) for v in range(wide)]
    fma_name = f"llvm.fma.v{lanes}f{8 * VECTOR_BYTES // lanes}"
    fma = module.globals.get(fma_name)
    if fma is None:
        fma = ir.Function(module, ir.FunctionType(vector, [vector] * 3), fma_name)
    first = [
        _load(builder, builder.gep(s, [builder.add(builder.mul(s_row, _whole(r)), column)]), vector)
        for r in rows
        for column in columns
    ]
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    k = builder.phi(_INDEX)
    k.add_incoming(_whole(0), before)
    sums = [builder.phi(vector) for _ in first]
    b_place = builder.mul(k, _whole(lanes * wide))
    b_row = [_load(builder, builder.gep(b, [builder.add(b_place, column)]), vector) for column in columns]
    a_place = builder.mul(k, a_column)
    undefined, first_lane = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(_LANE, lanes), [0] * lanes)
    totals: list[ir.Value] = []
    for r in rows:
        one = builder.load(builder.gep(a, [builder.add(a_place, builder.mul(a_row, _whole(r)))]))
        alone = builder.insert_element(undefined, one, ir.Constant(_LANE, 0))
        everywhere = builder.shuffle_vector(alone, undefined, first_lane)
        totals += [builder.call(fma, [everywhere, b_row[v], sums[r * wide + v]]) for v in range(wide)]
    following = builder.add(k, _whole(1))
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
    k.add_incoming(following, loop)
    for phi, begin, total in zip(sums, first, totals, strict=True):
        phi.add_incoming(begin, before)
        phi.add_incoming(total, loop)
    builder.position_at_end(after)
    for r in rows:
        for v, column in enumerate(columns):
            place = builder.gep(c, [builder.add(builder.mul(c_row, _whole(r)), column)])
            _store(builder, totals[r * wide + v], place)
    builder.ret_void()
    return function


@intrinsic(prefer_literal=True)
def _tile(_typing, tall, wide, depth, a, a_at, a_row, a_column, b, c, c_at, c_row, s, s_at, s_row):
    """Compute a tile of C, `tall` rows times `wide` vectors (constants); places and strides count numbers."""
    if not isinstance(tall, types.IntegerLiteral) or not isinstance(wide, types.IntegerLiteral):
        return None
    signature = types.void(tall, wide, depth, a, a_at, a_row, a_column, b, c, c_at, c_row, s, s_at, s_row)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        def start(argument: int, place: ir.Value) -> ir.Value:
            array = context.make_array(signature.args[argument])(context, builder, values[argument])
            return builder.gep(array.data, [place])

        shape = tall.literal_value, wide.literal_value
        function = _tile_function(builder.module, *shape, *_numbers(signature.args[8]))
        _, _, depth, _, a_at, a_row, a_column, _, _, c_at, c_row, _, s_at, s_row = values
        a, b, c, s = start(3, a_at), start(7, _whole(0)), start(8, c_at), start(11, s_at)
        builder.call(function, [depth, a, a_row, a_column, b, c, c_row, s, s_row])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _copy(_typing, source, source_at, target, target_at):
    """Copy one vector."""
    signature = types.void(source, source_at, target, target_at)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        _, vector = _numbers(signature.args[0])
        from_, to = (
            builder.gep(context.make_array(signature.args[i])(context, builder, values[i]).data, [values[i + 1]])
            for i in (0, 2)
        )
        _store(builder, _load(builder, from_, vector), to)
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
