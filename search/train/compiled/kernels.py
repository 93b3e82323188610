"""The kernels that Python calls: they run over the slots of a pack, without the interpreter's lock.

Each takes what `layers` describes, for all slots: a slot's parameters follow each other at `size`, its minibatch begins
at ``x_at[slot]`` (slots of a group share one), and what it keeps at ``slot * kept_size``.
"""

# mypy: ignore-errors
# numba types these functions, when it compiles them.

from __future__ import annotations

from search.train.compiled import layers
from search.train.compiled.losses import correct, loss_and_gradient, squared_error
from search.train.compiled.products import multiply
from search.train.compiled.steps import NONE, average, penalise, square_sum, step
from search.train.compiled.toolchain import kernel

BLOCK = 256
"""The rows that pass through all layers at a time, so that their activations stay in the cache."""


@kernel
def learn(
    plan, theta, gradient, size, slots, x, x_at, y, y_at, weights, rows, batch, outputs, loss, kept, delta, turned,
    panel, zeros, total, noise, gates, least, scale, gated, strengths, penalty, lr, code, first, second, third, counts,
    numbers, nesterov, averages, shares, sources, returns,
):  # fmt: skip
    """Train every slot for some steps; add its losses to `total` and the value of its penalties to `penalty`.

    Args:
        x, x_at, y, y_at: inputs and targets of all steps, and where each slot's begin.
        weights: the weights of the rows (`losses`), placed like the targets; empty if all are 1.
        rows, batch: the number of rows, and how many of them are a minibatch; the last one may have fewer.
        outputs: the number of real outputs.
        loss: the code of the loss.
        kept, delta, turned, panel, zeros: room for one slot and one block of rows.
        total, penalty: float64 ``(slots,)``.
        noise, gates, least, scale: the gates, ``steps x slots x layers`` (`layers.forward`); no layers if there are
            none.
        gated: room for a block of inputs after their gate.
        strengths: as in `steps.penalise`; no columns if there is no penalty.
        lr: the learning rates, ``steps x slots``.
        code, first, second, third, counts, numbers, nesterov: as in `steps.step`; without an optimiser, the gradient of
            the last step is left in `gradient`.
        averages, sources, returns: as in `steps.average`.
        shares: the shares of the averages, ``steps x slots x averages``.
    """
    for slot in range(slots):
        # All steps of one slot before those of the next: its weights and moments stay in the cache.
        for at in range(0, rows, batch):
            count, number = min(batch, rows - at), at // batch
            _learn_minibatch(
                plan, theta, gradient, size, slot, x, x_at[slot] + at * plan[layers.INPUTS, 0], y,
                y_at[slot] + at * plan[layers.OUTPUTS, plan.shape[1] - 1], weights, count, outputs, loss, kept, delta,
                turned, panel, zeros, total, noise, gates[number, slot], least[number, slot], scale[number, slot],
                gated,
            )  # fmt: skip
            if strengths.shape[1] > 0:
                penalty[slot] += penalise(theta, gradient, size, slot, strengths)
            if code != NONE:
                step(
                    code, theta, gradient, size, slot, lr[number, slot], first, second, third, counts, numbers, nesterov
                )
            if len(sources):
                average(theta, averages, size, slot, shares[number, slot], sources, returns)


@kernel
def _learn_minibatch(
    plan, theta, gradient, size, slot, x, x_at, y, y_at, weights, rows, outputs, loss, kept, delta, turned, panel,
    zeros, total,
    noise, gates, least, scale, gated,
):  # fmt: skip
    """Write a slot's gradient for a minibatch, and add the sum of its losses to `total`."""
    count = plan.shape[1]
    inputs, width = plan[layers.INPUTS, 0], plan[layers.OUTPUTS, count - 1]
    share = theta.dtype.type(1.0 / rows)
    at = slot * size
    layers.turn(plan, 1, count, theta, at, turned, 0)
    for row in range(0, rows, BLOCK):
        some = min(BLOCK, rows - row)
        x_row, y_row = x_at + row * inputs, y_at + row * width
        source, source_at, places = x, x_row, gates.copy()
        if len(places):
            _begin_gates(plan, places, row, gated, x, x_row, some, noise, least[0], scale[0])
            if places[0] >= 0:
                source, source_at = gated, 0
        layers.forward(
            plan, 0, count, theta, at, source, source_at, kept, 0, BLOCK, 0, some, panel, noise, places, least, scale
        )
        z_at, d_at = BLOCK * plan[layers.KEPT, count - 1], BLOCK * plan[layers.DELTA, count - 1]
        z, d = _rows(kept, z_at, some, width), _rows(delta, d_at, some, width)
        w = _weights(weights, y_row, some, width)
        total[slot] = loss_and_gradient(loss, z, _rows(y, y_row, some, width), w, d, outputs, share, total[slot])
        layers.deltas(
            plan, 0, count, turned, 0, kept, 0, delta, 0, BLOCK, 0, some, panel, zeros, noise, places, least, scale
        )
        layers.gradients(
            plan, 0, count, source, source_at, kept, 0, delta, 0, BLOCK, 0, some, gradient, at, row > 0, 0, 1, panel,
            zeros,
        )  # fmt: skip


@kernel
def _begin_gates(plan, places, row, gated, x, x_row, rows, noise, least, scale):
    """Move the places of a slot's draws to a block's first row, and gate its inputs if they have a gate."""
    for number in range(len(places)):
        if places[number] >= 0:
            width = plan[layers.INPUTS, number]
            places[number] += row * width
            if number == 0:
                inputs = gated[: rows * width]
                inputs[:] = x[x_row : x_row + rows * width]
                layers.gate(inputs, noise, places[0], least, scale)


@kernel
def gate(h, noise, noise_at, least, scale):
    """Apply a gate to activations ``slots x numbers``, or to their gradients; draws begin at ``noise_at[slot]``."""
    for slot in range(len(h)):
        layers.gate(h[slot], noise, noise_at[slot], least[slot], scale[slot])


@kernel
def learn_rows(
    plan, theta, at, x, x_at, y, y_at, weights, rows, outputs, loss, kept, delta, first, last, turned, panel, zeros,
    losses, noise, gates, least, scale,
):  # fmt: skip
    """Do one thread's share of `learn` for one slot: its rows from `first` to before `last`, up to the deltas.

    `kept` and `delta` have room for all rows; `losses`, float64 ``(rows,)``, takes the loss of each.
    """
    count = plan.shape[1]
    width = plan[layers.OUTPUTS, count - 1]
    share = theta.dtype.type(1.0 / rows)
    layers.turn(plan, 1, count, theta, at, turned, 0)
    for row in range(first, last, BLOCK):
        some = min(BLOCK, last - row)
        layers.forward(plan, 0, count, theta, at, x, x_at, kept, 0, rows, row, some, panel, noise, gates, least, scale)
        z_at, d_at = rows * plan[layers.KEPT, count - 1], rows * plan[layers.DELTA, count - 1]
        for r in range(row, row + some):
            z, d = _rows(kept, z_at + r * width, 1, width), _rows(delta, d_at + r * width, 1, width)
            y_row = y_at + r * width
            w = _weights(weights, y_row, 1, width)
            losses[r] = loss_and_gradient(loss, z, _rows(y, y_row, 1, width), w, d, outputs, share, 0.0)
        layers.deltas(
            plan, 0, count, turned, 0, kept, 0, delta, 0, rows, row, some, panel, zeros, noise, gates, least, scale
        )


@kernel
def learn_part(plan, gradient, at, x, x_at, rows, kept, delta, part, parts, panel, zeros):
    """Do the rest of one thread's share, once `learn_rows` has done all rows: a part of the gradients."""
    for row in range(0, rows, BLOCK):
        some = min(BLOCK, rows - row)
        layers.gradients(
            plan, 0, plan.shape[1], x, x_at, kept, 0, delta, 0, rows, row, some, gradient, at, row > 0, part, parts,
            panel, zeros,
        )  # fmt: skip


@kernel
def add_up(losses, total, slot):
    """Add losses to a slot's total, one by one, as `learn` does."""
    for loss in losses:
        total[slot] += loss


@kernel
def forward(plan, first, last, theta, size, slots, x, x_at, rows, kept, kept_size, out, panel, gates):
    """Compute a stretch of layers for every slot; `out` gets its last layer's h, ``slots x rows x outputs``.

    With `kept_size` 0, all slots use the same room, and nothing is kept. `gates` is empty: gates are applied elsewhere.
    """
    wide = plan[layers.OUTPUTS, last - 1]
    for slot in range(slots):
        at = slot * kept_size
        for row in range(0, rows, BLOCK):
            some = min(BLOCK, rows - row)
            layers.forward(
                plan, first, last, theta, slot * size, x, x_at[slot], kept, at, rows, row, some, panel, panel, gates,
                panel, panel,
            )  # fmt: skip
        h_at, count = at + rows * (plan[layers.KEPT, last - 1] - plan[layers.KEPT, first]), rows * wide
        out[slot * count : (slot + 1) * count] = kept[h_at : h_at + count]


@kernel
def backward(
    plan, first, last, theta, gradient, size, slots, x, x_at, rows, kept, kept_size, g, dx, begun, delta, turned, panel,
    zeros, gates,
):  # fmt: skip
    """Write the gradients of a stretch of layers from `g`, that in its h, and `dx`, that in its x unless it is empty.

    Args:
        g: ``slots x rows x outputs``; dx: ``slots x rows x inputs``, or empty.
        begun: whether to add to the gradients of the parameters.
    """
    inputs, outputs = plan[layers.INPUTS, first], plan[layers.OUTPUTS, last - 1]
    from_ = first if len(dx) else first + 1
    for slot in range(slots):
        at, kept_at = slot * size, slot * kept_size
        layers.turn(plan, from_, last, theta, at, turned, 0)
        # The transposed weights of the first layer come first, if they are needed.
        others = plan[layers.TURNED, first + 1] - plan[layers.TURNED, first] if len(dx) and last > first + 1 else 0
        for row in range(0, rows, BLOCK):
            some = min(BLOCK, rows - row)
            d_at = rows * (plan[layers.DELTA, last - 1] - plan[layers.DELTA, first]) + row * outputs
            g_at = (slot * rows + row) * outputs
            delta[d_at : d_at + some * outputs] = g[g_at : g_at + some * outputs]
            layers.deltas(
                plan, first, last, turned, others, kept, kept_at, delta, 0, rows, row, some, panel, zeros, panel, gates,
                panel, panel,
            )  # fmt: skip
            layers.gradients(
                plan, first, last, x, x_at[slot], kept, kept_at, delta, 0, rows, row, some, gradient, at,
                begun or row > 0, 0, 1, panel, zeros,
            )  # fmt: skip
            if len(dx):
                wide = plan[layers.OUTPUTS, first]
                multiply(
                    some, inputs, wide, delta, row * wide, wide, 1, turned, 0, inputs, dx, (slot * rows + row) * inputs,
                    inputs, zeros, 0, 0, panel,
                )  # fmt: skip


@kernel
def loss_gradient(z, y, y_at, weights, slots, rows, width, outputs, loss, d, total):
    """Write the gradient of each slot's mean loss in its predictions ``slots x rows x width``; add up its losses."""
    share = z.dtype.type(1.0 / rows)
    for slot in range(slots):
        at = slot * rows * width
        z_slot, d_slot = _rows(z, at, rows, width), _rows(d, at, rows, width)
        y_slot, w = _rows(y, y_at[slot], rows, width), _weights(weights, y_at[slot], rows, width)
        total[slot] = loss_and_gradient(loss, z_slot, y_slot, w, d_slot, outputs, share, total[slot])


@kernel
def measure(z, y, weights, slots, rows, width, outputs, loss, scale, d, total, read):
    """Add the losses of predictions ``slots x rows x width`` to `total`, and right guesses or squared errors to `read`.

    Args:
        scale: the factors to the user's units in regression, empty in classification.
        d: room for the gradient of a slot.
    """
    one = z.dtype.type(1)
    for slot in range(slots):
        z_slot, y_all = _rows(z, slot * rows * width, rows, width), _rows(y, 0, rows, width)
        d_slot = _rows(d, 0, rows, width)
        total[slot] = loss_and_gradient(loss, z_slot, y_all, weights, d_slot, outputs, one, total[slot])
        if len(scale):
            read[slot] += squared_error(z_slot, y_all, weights, scale, outputs)
        else:
            read[slot] += correct(z_slot, y_all, weights, outputs)


@kernel
def penalties(theta, gradient, size, strengths, values):
    """Add the gradient of each slot's penalties, and their values to `values` (`steps.penalise`)."""
    for slot in range(strengths.shape[1]):
        values[slot] += penalise(theta, gradient, size, slot, strengths)


@kernel
def sizes(theta, size, least, small, squares):
    """Write each slot's number of weights below `least` in magnitude, and the sum of its squared weights."""
    for slot in range(len(small)):
        w = theta[slot * size : (slot + 1) * size]
        count = 0
        for i in range(len(w)):
            count += 1 if abs(w[i]) < least else 0
        small[slot], squares[slot] = count, square_sum(w)


@kernel
def _weights(weights, y_at, rows, width):
    """Return the weights of some rows, whose targets begin at `y_at`."""
    at = y_at // width
    return weights[at : at + rows] if len(weights) else weights


@kernel
def _rows(array, at, rows, width):
    return array[at : at + rows * width].reshape(rows, width)
