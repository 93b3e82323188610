"""Fine-tuning: start from a network trained before, on other data.

The first `kept` layers start from the weights of the model file `source`; the others, and the head where its classes
are not the source's, are drawn anew. Of those kept the first `frozen` do not train, and every layer learns more slowly
than the next: of layers l = 1 ... L the learning rate is

``lr_l = 0`` where ``l <= min(frozen, kept)``, else ``lr * layer_lr_ratio^(L - l)``.

So are the four cases: little data, similar to the source's: keep and freeze all but the head; much: keep all, freeze
none; little data, different: keep the first layers only; much: keep nothing, or all as a starting point.

Data are scaled as the source's were, regression targets too: weights mean nothing to inputs of another scale. So name
it after a technique that scales the data (``augmentation+fine_tune``). A frozen layer has no weight decay either; but
what a technique does to weights after the step, such as `max_norm`, it does to frozen ones too.

Shapes: weights ``slots x inputs x outputs``; factors of the learning rate ``slots x size``. Sampled: `kept`, `frozen`
and `layer_lr_ratio`.

Source: Yosinski et al., "How transferable are features in deep neural networks?" (NIPS 2014); for `layer_lr_ratio`,
Howard and Ruder, "Universal language model fine-tuning for text classification" (ACL 2018). In torch:
`load_state_dict`, ``requires_grad_(False)`` and a parameter group with its own ``lr`` for each layer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from search.technique import Numeric, Setting, Structural, Technique, Value, Values
from search.train.model_file import Model, load

if TYPE_CHECKING:
    from search.data import Data
    from search.technique.layout import Field

_NONE = "none"


def parse(value: object) -> Value:
    """``path#digest`` of a model file, or "none".

    With its content in its name, a source is the same only while the file is: a study cannot go on with another one.
    """
    if not isinstance(value, str) or not value:
        raise ValueError("takes the path of a model file, or none")
    return value if value == _NONE else f"{_split(value)[0]}#{_read(value).digest}"


def _split(source: str) -> tuple[str, str]:
    """The path and the digest; "" where there is none yet."""
    path, _, digest = source.rpartition("#")
    return (path, digest) if path and re.fullmatch("[0-9a-f]{16}", digest) else (source, "")


def _read(source: str) -> Model:
    path, digest = _split(source)
    model = load(path)
    if digest not in ("", model.digest):
        raise ValueError(f"the file has changed: its digest is {model.digest} now, was {digest}")
    return model


# By content, so what is remembered is never out of date.
_model = lru_cache(maxsize=8)(_read)


def check(setting: Setting) -> None:
    """Every layer that a trial may keep has to fit, and what it was trained for has to be the same."""
    sources = _sources(setting)
    if not sources:
        raise ValueError("needs a network to start from: give one with --set source=model.safetensors")
    kept = max(int(value) for value in setting.possible("kept"))
    first, data = _model(sources[0]), setting.data
    for source in sources:
        (name, _), model = _split(source), _model(source)
        if model.meta.widths[0] != data.features:
            raise ValueError(f"{name} takes {model.meta.widths[0]} inputs, {data.name} has {data.features}")
        for theirs, ours in zip(model.meta.columns, data.columns, strict=False):
            if str(theirs) != str(ours):
                raise ValueError(f"{name} takes an input {str(theirs)!r} where {data.name} has {str(ours)!r}")
        if _scale(model) != _scale(first):
            raise ValueError(
                f"{name} scales its data otherwise than {_split(sources[0])[0]}: a study takes one of them"
            )
        if kept == 0:
            continue
        for activation in setting.possible("activation"):
            # Features that one activation was trained to read off are not there behind another.
            if activation != model.meta.activation:
                raise ValueError(
                    f"{name} has activation {model.meta.activation}, the study {activation}: "
                    f"give --set activation={model.meta.activation}"
                )
        for hidden in setting.possible("hidden"):
            _fit(kept, name, model, (data.features, *_widths(str(hidden)), data.outputs))


def _fit(kept: int, name: str, model: Model, widths: tuple[int, ...]) -> None:
    """Refuse hidden layers among those kept that differ in shape; a head that does not fit is drawn anew."""
    ours, theirs = list(pairwise(widths))[:-1], list(pairwise(model.meta.widths))
    for number, shape in enumerate(ours[:kept]):
        if number >= len(theirs) or theirs[number] != shape:
            has = f"is {theirs[number][0]} x {theirs[number][1]}" if number < len(theirs) else "is not there"
            hidden = "x".join(map(str, model.meta.widths[1:-1])) or "0"
            raise ValueError(
                f"kept {kept} keeps layer {number + 1} of {name}, which {has}, here {shape[0]} x {shape[1]}: "
                f"keep fewer layers or give --set hidden={hidden}"
            )


def _scale(model: Model) -> tuple[object, ...]:
    numbers = {name: tensor.tolist() for name, tensor in model.tensors.items() if name.endswith((".shift", ".scale"))}
    return numbers, model.meta.pixel_max


def _widths(hidden: str) -> list[int]:
    return [int(width) for width in hidden.split("x") if width != "0"]


def _sources(setting: Setting) -> list[str]:
    return [str(source) for source in setting.possible("source") if source != _NONE]


def prepare(data: Data, setting: Setting) -> Data:
    """The data scaled as the source's were; they stay as they are where they are so already."""
    sources = _sources(setting)
    if not sources:
        return data
    model = _model(sources[0])
    theirs, targets = model.inputs, model.targets
    # Pixels of 0..16 stand for the same brightness as those of 0..255.
    ratio = data.pixel_max / model.meta.pixel_max if data.pixel_max and model.meta.pixel_max else 1.0
    inputs = replace(data.inputs, shift=theirs.shift * ratio, scale=theirs.scale * ratio)
    if not (torch.equal(inputs.shift, data.inputs.shift) and torch.equal(inputs.scale, data.inputs.scale)):
        x_train, x_val, x_test = (inputs.apply(data.inputs.invert(x)) for x in (data.x_train, data.x_val, data.x_test))
        data = replace(data, inputs=inputs, x_train=x_train, x_val=x_val, x_test=x_test)
    if targets is not None and data.targets is not None and len(targets.scale) == data.outputs:
        y_train, y_val, y_test = (
            targets.apply(data.targets.invert(y)) for y in (data.y_train, data.y_val, data.y_test)
        )
        data = replace(data, targets=targets, y_train=y_train, y_val=y_val, y_test=y_test)
    return data


def _start_from(values: Values) -> Model | None:
    """The source; None where a trial has none, or keeps nothing of it in this study."""
    source = str(values.structure.get("source", _NONE))
    return None if source == _NONE or "kept" not in values else _model(source)


def _usable(model: Model, widths: Sequence[int], classes: Sequence[str]) -> int:
    """How many layers may keep the source's weights: all, or all but the head where it answers another question."""
    theirs = model.meta
    same = len(theirs.widths) == len(widths) and theirs.widths[-1] == widths[-1] and theirs.classes == tuple(classes)
    return len(widths) - 1 if same else len(widths) - 2


def init(current: Tensor, _unit: Tensor, field: Field, values: Values) -> Tensor:
    """A field's weights ``slots x shape``: the source's in slots that keep its layer."""
    model = _start_from(values)
    if model is None or field.kind not in ("weight", "bias"):
        return current
    usable = _usable(model, values.layout.widths, values.classes)
    if field.layer >= min(usable, len(model.meta.widths) - 1):
        return current
    weight, bias = model.layer(field.layer)
    theirs = weight.T if field.kind == "weight" else bias
    # What a deeper layer looks like does not matter where no slot keeps it: `check`.
    if theirs.shape != field.shape:
        return current
    keeps = values["kept"].view(-1, *(1 for _ in field.shape)) > field.layer
    return torch.where(keeps, theirs.to(current), current)


def start(values: Values) -> dict[str, Tensor]:
    """The factor on the learning rate of each weight, ``slots x size``: the same at every step."""
    model = _start_from(values)
    if model is None:
        return {}
    layout, ratio = values.layout, values["layer_lr_ratio"]
    usable = _usable(model, layout.widths, values.classes)
    frozen = torch.minimum(values["frozen"], values["kept"]).clamp(max=usable)
    factors = torch.ones(values.slots, layout.size, dtype=values.dtype, device=values.device)
    factor = torch.ones_like(ratio)
    for layer in reversed(range(layout.layers)):
        of_layer = torch.where(frozen > layer, 0.0, factor)
        for field in layout.fields:
            if field.layer == layer:
                layout.view(factors, field).copy_(of_layer.view(-1, *(1 for _ in field.stored)))
        factor = factor * ratio
    return {"rate": factors}


def rate(_step: int, _steps: int, values: Values) -> Tensor:
    """The factor on the learning rate, ``slots x size``, or ``(slots,)`` ones where a trial has no source."""
    if "rate" in values.state:
        return values.state["rate"]
    return torch.ones(values.slots, dtype=values.dtype, device=values.device)


technique = Technique(
    name="fine_tune",
    hyperparameters={
        "source": Structural(default=_NONE, parse=parse, neutral=_NONE),
        "kept": Numeric(default=2, low=0, high=2, whole=True, minimum=0, neutral=0),
        "frozen": Numeric(low=0, high=2, whole=True, minimum=0, neutral=0, stronger="up"),
        "layer_lr_ratio": Numeric(low=0.1, high=1.0, log=True, above=0.0, maximum=1.0, neutral=1.0, stronger="down"),
    },
    check=check,
    prepare=prepare,
    init=init,
    start=start,
    rate=rate,
)
