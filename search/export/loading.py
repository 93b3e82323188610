"""What a file needs to be used without this package: the lines that load it, and the model as plain PyTorch modules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from search.data.nonlinear import CLIP, LARGEST, SmoothClip, normal_scores, smooth_clip
from search.data.piecewise import Bins
from search.data.scaling import Scaling
from search.export.onnx_file import INPUT
from search.train.activations import ACTIVATIONS
from search.train.model_file import Model
from search.train.plain_network import PlainNetwork, mean, with_waves


def loading_code(model: Model, file: str) -> list[str]:
    """Return the lines that load a file without this package, and predict raw `rows`.

    ``outputs`` are probabilities or values in the units of the data; of a single network for classes in a safetensors
    file, they are logits. `rows` is a float32 tensor, for ONNX an array. With a threshold, ``decided`` are the class
    numbers.
    """
    threshold = model.meta.threshold
    if file.endswith(".onnx"):
        return [
            "import onnxruntime",
            f"session = onnxruntime.InferenceSession({file!r})",
            f'outputs = session.run(None, {{"{INPUT}": rows}})[0]',
            *([] if threshold is None else [f"decided = (outputs[:, 1] > {threshold.value!r}).astype(int)"]),
        ]
    lines = ["import safetensors.torch, torch", f"weights = safetensors.torch.load_file({file!r})"]
    networks = model.networks
    functional = any(
        network.residual or network.waves is not None or any(len(each) > 1 for each in network.layers)
        for network in networks
    )
    scaled, before = _inputs(model)
    lines += before
    if not model.meta.members:
        result = f"network({scaled})"
        lines += _function("network", networks[0], "") if functional else _sequential(networks[0])
    else:
        result = "sum(share * network(inputs){} for share, network in zip(shares, networks))".format(
            ".softmax(1)" if model.meta.task == "classification" else ""
        )
        if model.meta.task == "regression":
            result = f"({result})"
        lines += _functions(networks) if functional else _sequentials(networks)
        lines += [f"shares = {[network.weight for network in networks]}", f"inputs = {scaled}"]
    if model.meta.task == "regression":
        result += ' * weights["targets.scale"] + weights["targets.shift"]'
    lines.append(f"outputs = {result}")
    if threshold is not None:
        probabilities = "outputs" if model.meta.members else "outputs.softmax(1)"
        lines.append(f"decided = ({probabilities}[:, 1] > {threshold.value!r}).long()")
    return lines


def plain_network(model: Model) -> nn.Module:
    """Return the model as plain modules, which take raw rows.

    A single network returns logits or values in the units of the data. An ensemble returns the weighted mean of its
    networks' values, or the logarithm of the weighted mean of their probabilities, whose softmax is that mean.
    """
    networks = [_plain(model, network) for network in model.networks]
    if not model.meta.members:
        return networks[0]
    return Mean(networks, [network.weight for network in model.networks], classes=model.meta.task == "classification")


class Mean(nn.Module):
    """The weighted mean of networks.

    Args:
        networks: the networks.
        weights: their weights, which sum to 1.
        classes: whether the networks return logits; their probabilities are averaged then.
    """

    def __init__(self, networks: Sequence[nn.Module], weights: Sequence[float], *, classes: bool) -> None:
        super().__init__()
        self.networks, self._weights, self._classes = nn.ModuleList(networks), list(weights), classes
        self.eval()

    def forward(self, rows: Tensor) -> Tensor:
        """Return values, or logarithms of probabilities, ``rows x outputs``."""
        outputs = [network(rows) for network in self.networks]
        if not self._classes:
            return torch.stack([weight * one for weight, one in zip(self._weights, outputs, strict=True)]).sum(0)
        logs = [one.log_softmax(1) + torch.tensor(w).log() for w, one in zip(self._weights, outputs, strict=True)]
        return torch.stack(logs).logsumexp(0)


class Affine(nn.Module):
    """An affine map of each unit, ``h * factor + shift``; both are ``(units,)``."""

    def __init__(self, factor: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.factor, self.shift = nn.Parameter(factor), nn.Parameter(shift)

    def forward(self, h: Tensor) -> Tensor:
        """Return activations ``rows x units``."""
        return h * self.factor + self.shift


class Branches(nn.Module):
    """Modules that take the same activations, and the mean of whose results is taken."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        """Return activations ``rows x units``."""
        return mean([branch(x) for branch in self.branches])


class WithWaves(nn.Module):
    """Inputs ``rows x features`` and, after them, their waves with these frequencies and phases, ``(waves,)``."""

    def __init__(self, frequency: Tensor, phase: Tensor) -> None:
        super().__init__()
        self.frequency, self.phase = nn.Parameter(frequency), nn.Parameter(phase)

    def forward(self, x: Tensor) -> Tensor:
        """Return the inputs of the first layer, ``rows x (features + waves)``."""
        return with_waves(x, self.frequency, self.phase)


class Residual(nn.Module):
    """Modules to whose result what entered them is added."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        """Return activations ``rows x units``, of those that enter the block."""
        h: Tensor = self.branch(x)
        return h + x


def _sequential(network: PlainNetwork) -> list[str]:
    """Return the lines that build and load a network."""
    return [
        f"network = {_modules(network)}",
        "network.load_state_dict({name: weights[name] for name in network.state_dict()})",
    ]


def _sequentials(networks: Sequence[PlainNetwork]) -> list[str]:
    """Return the lines that build and load the networks of an ensemble."""
    return [
        *("networks = [", *(f"    {_modules(network)}," for network in networks), "]"),
        "for number, network in enumerate(networks):",
        '    network.load_state_dict({name: weights[f"members.{number}.{name}"] for name in network.state_dict()})',
    ]


def _functions(networks: Sequence[PlainNetwork]) -> list[str]:
    """Return the lines that define the networks of an ensemble as functions."""
    names = [f"network_{number}" for number in range(len(networks))]
    lines: list[str] = []
    for number, network in enumerate(networks):
        lines += _function(names[number], network, f"members.{number}.")
    return [*lines, f"networks = [{', '.join(names)}]"]


def _function(name: str, network: PlainNetwork, prefix: str) -> list[str]:
    """Return the lines that define a network with residual blocks, branches or waves as a function."""
    activation = f"torch.nn.{ACTIVATIONS[network.activation].module.__name__}()"
    lines = [f"def {name}(x):", f"    linear, activation = torch.nn.functional.linear, {activation}"]
    if network.waves is not None:
        frequency, phase = (f'weights["{prefix}0.{kind}"]' for kind in ("frequency", "phase"))
        lines += [
            f"    turns = x.repeat_interleave(len({frequency}) // x.shape[1], 1) * {frequency} + {phase}",
            "    x = torch.cat([x, torch.cos(2 * torch.pi * turns)], 1)",
        ]
    for number in range(1, len(network.layers) + 1):
        each = []
        for start in network.names(number - 1):
            named = (f'weights["{prefix}{start}.{kind}"]' for kind in ("weight", "bias"))
            each.append(f"linear(x, {', '.join(named)})")
        if number == len(network.layers):
            lines.append(f"    return {each[0]}")
            continue
        h = " + ".join(f"activation({product})" for product in each)
        if len(each) > 1:
            h = f"({h}) / {len(each)}"
        scaled = ""
        if number in network.maps:
            factor, shift = (f'weights["{prefix}{2 * number - 1}.{kind}"]' for kind in ("factor", "shift"))
            scaled = f" * {factor} + {shift}"
        lines.append(f"    x = {h}{scaled}{' + x' if number in network.residual else ''}")
    return lines


class Scaled(nn.Module):
    """The scaling of raw rows ``rows x features`` by a nonlinear map, an encoding or both."""

    def __init__(self, inputs: Scaling) -> None:
        super().__init__()
        self._nonlinear, self._encodes = inputs.nonlinear, inputs.encoding is not None
        bins = {} if inputs.encoding is None else inputs.encoding.bins._asdict()
        for name, tensor in {**inputs.tensors, **{f"bins_{name}": one for name, one in bins.items()}}.items():
            self.register_buffer(name, tensor)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the inputs of a network, ``rows x features``, or ``rows x bins``."""
        x = (rows - self.get_buffer("shift")) / self.get_buffer("scale")
        if self._nonlinear is not None:
            clips = isinstance(self._nonlinear, SmoothClip)
            x = smooth_clip(x) if clips else normal_scores(x, self.get_buffer("quantiles"))
        if not self._encodes:
            return x
        bins = Bins(*(self.get_buffer(f"bins_{name}") for name in Bins._fields))
        return ((x.index_select(1, bins.source) - bins.low) / bins.width).clamp(bins.floor, bins.ceiling)


def _inputs(model: Model) -> tuple[str, list[str]]:
    """Return the code of the networks' inputs, and the lines before it that it needs."""
    scaled, before = _scaled(model)
    if model.inputs.encoding is None:
        return scaled, before
    return "e[:, high > low]", [
        *before,
        f'x, edges = {scaled}, weights["inputs.edges"]',
        "low, high = edges[:, :-1], edges[:, 1:]",
        "e = (x[:, :, None] - low) / (high - low)",
        "e = torch.where(low > edges[:, :1], e.clamp(min=0), e)",
        "e = torch.where(high < edges[:, -1:], e.clamp(max=1), e)",
    ]


def _scaled(model: Model) -> tuple[str, list[str]]:
    """Return the code of the scaled inputs, and the lines before it that it needs."""
    affine = '(rows - weights["inputs.shift"]) / weights["inputs.scale"]'
    nonlinear = model.inputs.nonlinear
    if nonlinear is None:
        return affine, []
    if isinstance(nonlinear, SmoothClip):
        clipped = f"x / (1 + (x / {CLIP:g}) ** 2).sqrt()"
        return clipped, [f"x = ({affine}).clamp({-LARGEST:g}, {LARGEST:g})"]
    return "torch.where(q[0] < q[-1], torch.special.ndtri(p.clamp(1e-7, 1 - 1e-7)).T.float(), x)", [
        f'x, q = {affine}, weights["inputs.quantiles"]',
        "knots, values = q.double().T.contiguous(), x.double().T.contiguous()",
        "below, up_to = torch.searchsorted(knots, values), torch.searchsorted(knots, values, right=True)",
        f"lower, last = (below - 1).clamp(min=0), {len(nonlinear.quantiles) - 1}",
        "low, high = knots.gather(1, lower), knots.gather(1, below.clamp(max=last))",
        "p = torch.where(below < up_to, (below + up_to - 1) / 2, lower + (values - low) / (high - low)) / last",
        "p = torch.where(values <= knots[:, :1], 0.0, torch.where(values >= knots[:, -1:], 1.0, p))",
    ]


def _modules(network: PlainNetwork) -> str:
    """Return the code of a network's modules."""
    activation = f"torch.nn.{ACTIVATIONS[network.activation].module.__name__}()"
    layers = [f"torch.nn.Linear({weight.shape[1]}, {weight.shape[0]})" for ((weight, _),) in network.layers]
    return f"torch.nn.Sequential({f', {activation}, '.join(layers)})"


def _plain(model: Model, network: PlainNetwork) -> nn.Sequential:
    """Return a network as plain modules.

    An affine scaling becomes part of the first and the last layer: ``W ((x - shift) / scale) + b = W' x + b'``.
    """
    inputs = model.inputs
    last = len(network.layers) - 1
    affine = inputs.nonlinear is None and inputs.encoding is None and network.waves is None
    layers: list[nn.Module] = [] if affine else [Scaled(inputs)]
    if network.waves is not None:
        layers.append(WithWaves(*network.waves))
    for number, branches in enumerate(network.layers):
        each: list[nn.Module] = []
        for tensors in branches:
            weight, bias = (tensor.double() for tensor in tensors)
            if number == 0 and affine:
                weight = weight / inputs.scale.double()
                bias = bias - weight @ inputs.shift.double()
            if number == last and model.targets is not None:
                scale = model.targets.scale.double()
                weight, bias = weight * scale[:, None], bias * scale + model.targets.shift.double()
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            linear.load_state_dict({"weight": weight.float(), "bias": bias.float()})
            each.append(linear)
        if len(each) > 1:
            activation = ACTIVATIONS[network.activation].module
            parts: list[nn.Module] = [Branches(*(nn.Sequential(linear, activation()) for linear in each))]
        else:
            parts = each if number == last else [*each, ACTIVATIONS[network.activation].module()]
        if number + 1 in network.maps:
            parts.append(Affine(*network.maps[number + 1]))
        layers += [Residual(*parts)] if number + 1 in network.residual else parts
    return nn.Sequential(*layers).eval()
