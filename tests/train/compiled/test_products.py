"""The compiled product is one chain of fused multiply-adds for each element, however it is cut."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from search.train.compiled.products import DEEP, multiply, panel_size

Array = NDArray[np.floating]
MARGIN = 5  # the numbers around each matrix, which a product must leave alone

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def placed(matrix: Array) -> Array:
    """Return a matrix as flat memory, with NaN before and after it."""
    around = np.full(MARGIN, np.nan, matrix.dtype)
    return np.concatenate([around, matrix.ravel(), around])


def product(
    a: Array,
    b: Array,
    s: Array | str,
    *,
    transposed: bool = False,
    rows: tuple[int, ...] = (),
    columns: tuple[int, ...] = (),
) -> Array:
    """Return ``S + A B``, which is computed in parts.

    Args:
        s: S, or one row that stands for all of them; "C" is C itself, which holds a matrix of ones.
        transposed: whether A lies in memory column by column.
        rows, columns: where C is cut into parts.
    """
    (height, depth), width = a.shape, b.shape[1]
    c = placed(np.ones((height, width), a.dtype))
    a_flat, b_flat = placed(a.T if transposed else a), placed(b)
    a_row, a_column = (1, height) if transposed else (depth, 1)
    panel = np.empty(panel_size(), a.dtype)
    for top, bottom in zip((0, *rows), (*rows, height), strict=True):
        for left, right in zip((0, *columns), (*columns, width), strict=True):
            c_at = MARGIN + top * width + left
            if isinstance(s, str):
                sums = c, c_at, width
            elif s.ndim == 1:
                sums = placed(s), MARGIN + left, 0
            else:
                sums = placed(s), c_at, width
            multiply(
                bottom - top, right - left, depth, a_flat, MARGIN + top * a_row, a_row, a_column, b_flat,
                MARGIN + left, width, c, c_at, width, *sums, panel,
            )  # fmt: skip
    assert np.isnan(c[:MARGIN]).all()
    assert np.isnan(c[-MARGIN:]).all()
    return c[MARGIN:-MARGIN].reshape(height, width)


def matrices(rows: int, columns: int, depth: int, seed: int, dtype: type) -> tuple[Array, Array, Array]:
    generator = np.random.default_rng(seed)
    shapes = (rows, depth), (depth, columns), (rows, columns)
    a, b, s = (generator.standard_normal(shape).astype(dtype) for shape in shapes)
    return a, b, s


@TYPES
@given(
    rows=st.integers(1, 20),
    columns=st.integers(1, 9).map(lambda sixteens: 16 * sixteens),
    depth=st.integers(1, 300),
    transposed=st.booleans(),
    start=st.sampled_from(["zero", "row", "matrix", "C"]),
    seed=st.integers(0, 2**32),
)
@example(rows=7, columns=48, depth=DEEP + 3, transposed=False, start="row", seed=0)
@example(rows=1, columns=16, depth=2 * DEEP + 1, transposed=True, start="C", seed=0)
@settings(deadline=None)
def test_it_is_the_product(
    dtype: type, rows: int, columns: int, depth: int, transposed: bool, start: str, seed: int
) -> None:
    a, b, s = matrices(rows, columns, depth, seed, dtype)
    given_sums = {"zero": np.zeros(columns, dtype), "row": s[0], "matrix": s, "C": np.ones((rows, columns), dtype)}
    sums = given_sums[start]
    found = product(a, b, "C" if start == "C" else sums, transposed=transposed)
    kind = np.longdouble
    expected = sums.astype(kind) + a.astype(kind) @ b.astype(kind)
    # The bound of Higham, "Accuracy and stability of numerical algorithms" (2002), 3.1: one rounding for each term.
    bound = depth * np.finfo(dtype).eps * (np.abs(sums) + np.abs(a) @ np.abs(b))
    assert (np.abs(found - expected) <= bound).all()


@TYPES
@given(data=st.data(), transposed=st.booleans(), start=st.sampled_from(["row", "matrix", "C"]))
@settings(deadline=None, max_examples=50)
def test_the_bits_do_not_depend_on_the_cut(dtype: type, data: st.DataObject, transposed: bool, start: str) -> None:
    rows, sixteens = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 9))
    depth = data.draw(st.one_of(st.integers(1, 70), st.just(DEEP + 1)))
    a, b, s = matrices(rows, 16 * sixteens, depth, 0, dtype)
    sums = {"row": s[0], "matrix": s, "C": "C"}[start]
    cuts = [
        tuple(sorted(data.draw(st.sets(st.integers(1, most - 1), max_size=3)))) if most > 1 else ()
        for most in (rows, sixteens)
    ]
    columns = tuple(16 * cut for cut in cuts[1])
    whole = product(a, b, sums, transposed=transposed)
    assert np.array_equal(product(a, b, sums, transposed=transposed, rows=cuts[0], columns=columns), whole)
    assert np.array_equal(product(a, b, sums, transposed=not transposed), whole)
    if start == "matrix" and depth > 1:
        # The chain goes on where it was interrupted, as it does from block to block of a minibatch.
        middle = depth // 2
        before = product(a[:, :middle].copy(), b[:middle], s)
        assert np.array_equal(product(a[:, middle:].copy(), b[middle:], before), whole)


def rounded(exact: Fraction, dtype: type) -> np.floating:
    """Return the nearest number of a type; of two that are equally near, the one whose last bit is 0."""
    if dtype is np.float64:
        return np.float64(exact.numerator / exact.denominator)  # Python rounds the quotient of integers correctly
    near = np.float32(float(exact))
    around = (near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf)))
    return min(around, key=lambda one: (abs(Fraction(float(one)) - exact), int(one.view(np.int32)) & 1))


def chain(a: Array, b: Array, first: np.floating, *, fused: bool = True) -> np.floating:
    """Return ``first + sum a_k b_k``, summed in the order of k, with one rounding for each term (two if not fused)."""
    total = first
    for one, other in zip(a, b, strict=True):
        term = Fraction(float(one)) * Fraction(float(other))
        if not fused:
            term = Fraction(float(rounded(term, a.dtype.type)))
        total = rounded(Fraction(float(total)) + term, a.dtype.type)
    return total


@TYPES
@pytest.mark.parametrize("depth", [1, 37, DEEP + 2])
def test_an_element_is_a_chain_of_fused_multiply_adds(dtype: type, depth: int) -> None:
    a, b, s = matrices(9, 80, depth, 1, dtype)
    found = product(a, b, s)
    # These lie in the tiles of 6, 2 and 1 rows, and in wide and narrow ones.
    places = [(0, 0), (5, 63), (6, 17), (8, 40), (3, 79), (7, 64), (8, 70)]
    assert [found[i, j] for i, j in places] == [chain(a[i], b[:, j], s[i, j]) for i, j in places]
    if depth > 1:
        plain = [chain(a[i], b[:, j], s[i, j], fused=False) for i, j in places]
        backwards = [chain(a[i, ::-1], b[::-1, j], s[i, j]) for i, j in places]
        assert [found[i, j] for i, j in places] not in (plain, backwards), "the numbers can't tell"


def test_what_is_not_finite_stays_in_its_row_and_column() -> None:
    a, b, s = matrices(9, 48, 20, 2, np.float32)
    clean = product(a, b, s)
    a[4, 3], b[7, 20] = np.nan, np.inf
    found = product(a, b, s)
    assert np.isnan(found[4]).all()
    assert not np.isfinite(found[:, 20]).any()
    others = np.ix_([i for i in range(9) if i != 4], [j for j in range(48) if j != 20])
    assert np.array_equal(found[others], clean[others])
