"""A stretch of layers for the rows of one slot, forwards and backwards; `kernels` runs them over the slots of a pack.

``z_l = x_l W_l + b_l``,  ``h_l = a(z_l)``,  ``x_{l+1} = h_l``;  with d_l the gradient in z_l:

``dW_l = x_l^T d_l``,  ``db_l = sum of the rows of d_l``,  ``d_{l-1} = d_l W_l^T * a'(z_{l-1})``.

All memory is flat: an array and the place of a slot's or block's first number in it. A network is a `plan`, int64
``10 x layers``; its rows are named here.
"""

# mypy: ignore-errors
# numba types these functions, when it compiles them.

from __future__ import annotations

from search.train.compiled.activations import GELU, activate, differentiate
from search.train.compiled.products import multiply
from search.train.compiled.toolchain import kernel

INPUTS, OUTPUTS, WEIGHT, BIAS, CODE, APART, KEPT, DELTA, TURNED, JOINED = range(10)
"""The rows of a plan: padded widths; places in a slot's parameters; the activation; whether what its derivative takes
has room apart from h; what the layers before it take of `kept` and `delta` for each row of the minibatch, and of
`turned`; and whether what enters the layer is added to its h, if a layer before it is computed with it."""


@kernel
def forward(
    plan, first, last, theta, theta_at, x, x_at, kept, kept_at, stride, row, rows, panel, noise, gates, least, scale
):  # fmt: skip
    """Compute the layers from `first` to before `last` for some rows, and keep h (and apart from it, after it, z or h).

    Args:
        plan, first, last: the network and its layers.
        theta, theta_at: the parameters.
        x, x_at: the minibatch, ``stride x inputs``.
        kept, kept_at: room for the activations, ``stride x width`` for each layer.
        stride: the number of rows that there is room for.
        row, rows: the first of the rows to compute, and their number.
        panel: room for `multiply`.
        noise, gates, least, scale: the gates of the slot (`gate`), by the number of the activations: the places in
            `noise` of the first row's draws, -1 where there is no gate, and the numbers of each.
    """
    source, source_at = x, x_at
    for layer in range(first, last):
        inputs, outputs, code = plan[INPUTS, layer], plan[OUTPUTS, layer], plan[CODE, layer]
        h_at = _h_at(plan, first, layer, kept_at, stride, row)
        z_at = _z_at(plan, first, layer, kept_at, stride, row)
        weight, bias = theta_at + plan[WEIGHT, layer], theta_at + plan[BIAS, layer]
        a_at = source_at + row * inputs if layer == first else source_at
        multiply(
            rows, outputs, inputs, source, a_at, inputs, 1, theta, weight, outputs, kept, z_at, outputs, theta, bias, 0,
            panel,
        )  # fmt: skip
        count = rows * outputs
        z, h = kept[z_at : z_at + count], kept[h_at : h_at + count]
        if code != 0:
            activate(code, z, h if code == GELU else z)
        if plan[APART, layer] and code != GELU:
            h[:] = z
        if layer + 1 < len(gates) and gates[layer + 1] >= 0:
            gate(h, noise, gates[layer + 1] + row * outputs, least[layer + 1], scale[layer + 1])
        if plan[JOINED, layer] and layer > first:
            entered = source[a_at : a_at + count]
            for i in range(count):
                h[i] += entered[i]
        source, source_at = kept, h_at


@kernel
def turn(plan, first, last, theta, theta_at, turned, turned_at):
    """Write the transposed weights of the layers from `first` to before `last`."""
    for layer in range(first, last):
        inputs, outputs = plan[INPUTS, layer], plan[OUTPUTS, layer]
        from_, to = theta_at + plan[WEIGHT, layer], turned_at + plan[TURNED, layer] - plan[TURNED, first]
        weight = theta[from_ : from_ + inputs * outputs].reshape(inputs, outputs)
        other = turned[to : to + inputs * outputs].reshape(outputs, inputs)
        # Widths are multiples of 16; small squares stay in the first-level cache.
        for i in range(0, inputs, 16):
            for j in range(0, outputs, 16):
                for column in range(16):
                    for line in range(16):
                        other[j + column, i + line] = weight[i + line, j + column]


@kernel
def deltas(
    plan, first, last, turned, turned_at, kept, kept_at, delta, delta_at, stride, row, rows, panel, zeros, noise, gates,
    least, scale,
):  # fmt: skip
    """Replace the gradient in the last layer's h by that in its z, and compute d of the layers before it.

    Args:
        turned, turned_at: the transposed weights of the layers from ``first + 1`` on.
        delta, delta_at: room for d, ``stride x width`` for each layer; the last layer's holds the gradient in h.
        zeros: zeros, as many as the widest layer has inputs.
    """
    for layer in range(last - 1, first - 1, -1):
        inputs, outputs, code = plan[INPUTS, layer], plan[OUTPUTS, layer], plan[CODE, layer]
        d_at = delta_at + stride * (plan[DELTA, layer] - plan[DELTA, first]) + row * outputs
        count = rows * outputs
        d = delta[d_at : d_at + count]
        joined = plan[JOINED, layer] and layer > first
        if layer > first:
            before = delta_at + stride * (plan[DELTA, layer - 1] - plan[DELTA, first]) + row * inputs
            if joined:
                # What entered the layer was added to its h, so it has the same gradient besides that through the layer.
                delta[before : before + count] = d
        if layer + 1 < len(gates) and gates[layer + 1] >= 0:
            gate(d, noise, gates[layer + 1] + row * outputs, least[layer + 1], scale[layer + 1])
        if code != 0:
            z_at = _z_at(plan, first, layer, kept_at, stride, row)
            differentiate(code, d, kept[z_at : z_at + count])
        if layer > first:
            w_at = turned_at + plan[TURNED, layer] - plan[TURNED, first + 1]
            s, s_at, s_row = (delta, before, inputs) if joined else (zeros, 0, 0)
            multiply(
                rows, inputs, outputs, delta, d_at, outputs, 1, turned, w_at, inputs, delta, before, inputs, s, s_at,
                s_row, panel,
            )  # fmt: skip


@kernel
def gradients(
    plan, first, last, x, x_at, kept, kept_at, delta, delta_at, stride, row, rows, gradient, gradient_at, begun, part,
    parts, panel, zeros,
):  # fmt: skip
    """Write the gradients of weights and biases from some rows; add to what is there if they have `begun`.

    Several threads share the work by parts of each layer's inputs: no element's sum is divided.

    Args:
        gradient, gradient_at: the gradient, placed like the parameters.
        part, parts: the part to compute, from 0, and the number of parts.
    """
    for layer in range(first, last):
        inputs, outputs = plan[INPUTS, layer], plan[OUTPUTS, layer]
        begin, end = inputs * part // parts, inputs * (part + 1) // parts
        d_at = delta_at + stride * (plan[DELTA, layer] - plan[DELTA, first]) + row * outputs
        source, source_at = x, x_at + row * inputs
        if layer > first:
            source, source_at = kept, _h_at(plan, first, layer - 1, kept_at, stride, row)
        w_at = gradient_at + plan[WEIGHT, layer] + begin * outputs
        s, s_at, s_row = (gradient, w_at, outputs) if begun else (zeros, 0, 0)
        multiply(
            end - begin, outputs, rows, source, source_at + begin, 1, inputs, delta, d_at, outputs, gradient, w_at,
            outputs, s, s_at, s_row, panel,
        )  # fmt: skip
        if part == 0:
            bias = gradient[gradient_at + plan[BIAS, layer] :][:outputs]
            d = delta[d_at : d_at + rows * outputs].reshape(rows, outputs)
            if not begun:
                bias[:] = 0
            for r in range(rows):
                for j in range(outputs):
                    bias[j] += d[r, j]


@kernel
def _h_at(plan, first, layer, kept_at, stride, row):
    return kept_at + stride * (plan[KEPT, layer] - plan[KEPT, first]) + row * plan[OUTPUTS, layer]


@kernel
def _z_at(plan, first, layer, kept_at, stride, row):
    """Return the place of what the activation's derivative takes: in the room apart, or that of h."""
    h_at = _h_at(plan, first, layer, kept_at, stride, row)
    return h_at + stride * plan[OUTPUTS, layer] if plan[APART, layer] else h_at


@kernel
def gate(h, noise, noise_at, least, scale):
    """Multiply numbers by `scale` where their draws are at least `least`, otherwise by 0, in place."""
    draws, nothing = noise[noise_at : noise_at + len(h)], scale - scale
    for i in range(len(h)):
        h[i] *= scale if draws[i] >= least else nothing
