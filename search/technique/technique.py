"""The `Technique`: a regulariser or training method, as hyperparameters and pure functions that hook into training.

A technique is a value, not a subclass of the training loop. A `Technique` holds a name, hyperparameters and the hooks
that it needs. Each hook is a pure function of tensors whose leading dimension is slots. To add a technique, add a file
to `objectives/` that defines `technique`; no other file names it.

    technique = Technique(
        name="l2",
        hyperparameters={"l2": Numeric(low=1e-6, high=1e-1, log=True, minimum=0.0, neutral=0.0, stronger="up")},
        penalty=lambda weights, values: values["l2"] * weights.square().sum(1),
    )

A training step calls the hooks in this order:

    schedule -> input -> mix, layer, residual (each) -> targets -> loss, penalty -> [backward]
             -> perturb_inputs, perturb_weights -> gradient -> rate -> [optimiser] -> project -> average

On the CPU a slot's result must not depend on its place or its neighbours, to the bit. Sums, products, quotients, square
roots, comparisons, and softmax over the last dimension meet this rule. Element-wise `exp`, `log`, `sigmoid` and `pow`
do not: torch rounds them differently where a vector register is not full.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from search.errors import RequestError
from search.technique.hyperparameter import Hyperparameter, Numeric, Structural, Value
from search.technique.layout import Field
from search.technique.loops import Gate, Loops
from search.technique.values import Values

if TYPE_CHECKING:
    from search.data import Data


ACTING = (
    *("init", "parameters", "input_parameters", "waves", "branches", "members", "schedule", "input", "mix", "layer"),
    *("residual", "targets", "loss", "penalty", "perturb_inputs", "perturb_weights", "gradient", "rate", "project"),
    "average",
)
"""The hooks by which a technique acts on training; the other ones describe it, measure, or validate a study."""


@dataclass(frozen=True)
class Batch:
    """One minibatch after its forward pass, as the `loss` hook gets it.

    Attributes:
        x: the network's inputs, ``groups x batch x features`` or ``slots x batch x features``, padded.
        targets: the targets as the loss takes them, ``groups or slots x batch x outputs``, padded.
        predictions: the network's outputs, ``slots x batch x outputs``, padded; gradients flow through them.
        outputs: the number of real outputs. The padding is zero in regression and meaningless for classes.
        task: "classification" (predictions are logits) or "regression".
        forward: a function that passes inputs through the network once more, in training mode, with new random draws.
    """

    x: Tensor
    targets: Tensor
    predictions: Tensor
    outputs: int
    task: str
    forward: Callable[[Tensor], Tensor]


class StudyContext(Protocol):
    """The parts of a study that a technique's `check` and `prepare` hooks may read.

    Attributes:
        data: the data set on which the study trains.
        techniques: the names of the study's techniques, in order.
        train_rows: the possible numbers of training rows in an epoch, the largest first. There may be several, and
            fewer than the data set has, where a technique's `rows` hook chooses some.
        loss: the name of the training loss, such as "cross_entropy" or "mse".
        hyperparameters: the declarations of all hyperparameters of the study, by name.
    """

    @property
    def data(self) -> Data: ...

    @property
    def techniques(self) -> Sequence[str]: ...

    @property
    def train_rows(self) -> Sequence[int]: ...

    @property
    def loss(self) -> str: ...

    @property
    def hyperparameters(self) -> Mapping[str, Hyperparameter]: ...

    def possible(self, name: str) -> list[Value]:
        """Return the values that a hyperparameter may take: its one value, its choices, or its range's two ends."""
        ...


@dataclass(frozen=True)
class Technique:
    """One regulariser or training method: its hyperparameters and its hooks.

    In the hooks, `values` maps each numeric hyperparameter in use to a ``(slots,)`` tensor and holds more that a hook
    may read (`Values`). `weights` is ``slots x size``: every trainable number of a slot, biases too, and zeros where
    widths are padded. A technique is left out of a trial's training if every hyperparameter of its own that has a
    neutral value, numeric or structural, is at it in this trial.

    Args:
        hyperparameters: the technique's own hyperparameters, by name.
        set: values that the technique gives to hyperparameters of the model or the optimiser. A study may override
            them.
        space: ranges over which the technique searches such hyperparameters, written as in a recipe:
            ``{"low": 0.0, "high": 0.99}`` or ``{"choices": [32, 64]}``. A study may override them.
        derive: functions that compute hyperparameters of the model from the technique's own:
            ``{"hidden": function of values}``.
        role: a part that only one technique of a study can play, such as "schedule". Two techniques with the same role
            are refused.
        check: a function that raises ValueError, with value and rule, if the technique cannot work in this study.
        prepare: a function that returns the data as the technique needs them. It is called once, after `check` and
            before training.
        rows: a function that chooses the training rows of an epoch. It gets a random order ``(rows,)``, which a
            replicate keeps for the whole training, and the technique's own structural hyperparameters.
        edges: a function that returns the edges of each feature's bins, in which the inputs are encoded piecewise
            linearly (`search.data.piecewise`): a number for each bin. It gets the scaled inputs of the training rows,
            ``rows x features`` float32, and the structural hyperparameters. Edges are float32 and increase; a feature
            with fewer than three stays as it is. It is called for each fold, before training; a study has one such
            technique.
        init: a function that returns the initial weights of a field, ``slots x shape``. It gets the weights so far,
            the field's unit draws from [0, 1), which all trials of a replicate share, and the field.
        parameters: a function that names the technique's own trainable vectors after a hidden layer. It maps
            (layer, width) to names and initial values.
        input_parameters: a function that names the technique's own trainable vectors before the first layer. It maps
            the number of features to names and initial values; in `Values.parameter` their layer is 0.
        waves: a function that returns the number K of waves of each feature, of the structural hyperparameters. The
            waves ``cos(2 pi (frequency_jk x_j + phase_jk))`` of a feature x_j become inputs of the first layer beside
            it, after the `layer` hooks of all techniques. Frequencies and phases are trained; they are vectors of
            ``features * K`` numbers, all waves of a feature one after the other, and are 0 unless the technique's
            `init` hook sets the fields ``NAME.frequency`` and ``NAME.phase``. A study has one such technique.
        branches: a function that returns the number of branches of a hidden layer, each of which has weights of its
            own for the same inputs, and the layer's activation. It gets the layer's number, from 1, and the structural
            hyperparameters. In evaluation the layer's activations are the mean of the branches', in training what
            `mix` returns, which comes with this hook. One technique only may give a layer branches.
        mix: a function of the activations of a layer's branches, ``branches x slots x batch x padded width``, in
            training. It returns the layer's activations, ``slots x batch x padded width``, and keeps the padding zero.
            It gets the layer's number too. The `layer` hooks of all techniques come after it.
        mix_loops: the `mix` hook once more, as loops that are compiled (`Loops`). Instead of activations they take
            those of the branches: `forward` leaves the layer's activations in the first branch's place, and `backward`
            finds the gradient in these there, and leaves that in each branch in the place of each.
        residual: a function that tells whether a hidden layer becomes a residual block: what entered it is added to its
            activations, after the `layer` hooks of all techniques. It gets the layer's number, from 2, and the
            structural hyperparameters. Both layers must have the same width.
        members: a function that returns how many networks share the weights of a slot, of the structural
            hyperparameters. They have biases of their own and factors on what enters and leaves each layer
            (`search.train.members`), train on the same minibatches, and predict together, by the mean of their
            probabilities or values. After the first layer, `layer` and `loss` hooks then get the rows of all networks,
            one network after the other.
        start: a function that returns the technique's own state before the first step.
        input: a function that changes the inputs ``groups or slots x batch x features`` in units that people know
            (`Inputs.unit`).
        layer: a function that changes activations. It gets those of a hidden layer, ``slots x batch x padded width``,
            and the layer's number from 1; or the network's scaled inputs, ``groups or slots x batch x padded
            features``, and 0. It keeps the padding zero.
        affine: the `layer` hook in evaluation once more, if it is ``h * scale + shift`` for each unit. It gets the
            layer's number and returns scale and shift, ``slots x padded width`` each, or None where activations stay
            as they are. They become part of the next layer when a network is exported. It is not needed where `layer`
            leaves activations alone in evaluation.
        gate: the `layer` hook in training once more, if it is a `Gate`, for the compiled engine of the CPU. It gets the
            layer's number and the activations, as `layer` does, and returns None where they stay as they are.
        loops: the `layer` hook in training once more, as loops that are compiled (`Loops`), if it is no gate.
        monte_carlo: whether `layer` and `mix` draw at random in Monte Carlo passes too, whose spread estimates how
            uncertain a prediction is. Techniques that do not take part are evaluated without noise.
        targets: a function that changes the targets ``groups or slots x batch x outputs``, in training only.
        loss: a function of a `Batch` whose result, ``(slots,)``, is added to each slot's training loss. `val_loss`
            leaves it out (contract C8, docs/design.md).
        penalty: a differentiable function of the weights whose result, ``(slots,)``, is added to each slot's loss.
            `val_loss` leaves it out.
        powers: the `penalty` once more, for kernels, if it is ``sum_p c_p * sum_i |w_i|^p`` with p = 1, 2 over all
            weights: p to the name of the hyperparameter c_p.
        gradient: a function that changes the gradient ``slots x size`` in place, after the backward pass.
        schedule: a function that returns factors on numeric hyperparameters for a training step: name to ``(slots,)``.
            The names are the same at every step; those that a trial does not use are passed over. It gets the 0-based
            step since the start and the number of steps of one epoch. Only training steps see the product. Like `rate`
            and `average`, it is called for steps ahead: its result must not depend on what a step does to the state.
        rate: a function that returns a factor on the learning rate, ``(slots,)`` or ``slots x size``. It gets the
            0-based step since the start and the number of steps of one epoch.
        project: a function that changes the weights ``slots x size`` in place, after the optimiser's step. If it is a
            `LargestNorm`, a GPU has a kernel for it.
        perturb_inputs: a function that returns other inputs, at which the gradient is taken as well; a step then uses
            the mean of both gradients. It gets the minibatch's inputs ``slots x batch x padded features`` and the
            gradient of the training loss in them, and keeps the padding zero.
        perturb_weights: a function that returns other weights ``slots x size``, at which the gradient is taken instead.
            It gets the weights and the gradient at them, which is what a step would use without the hook.
        average: a function that returns the share with which the weights enter an average of them after a step:
            ``average <- average + share * (weights - average)``. The network is evaluated, and exported, with the
            average in place of its weights. It gets the 0-based step since the start and the number of steps of one
            epoch, and returns ``(slots,)``; or ``averages x slots``, if there are several, whose networks then predict
            together, by the mean of their probabilities or values. Averages begin as the initial weights. If several
            techniques have the hook, each averages what the one before it returns, in the order of the study; but those
            to which weights return come first, and those with several averages last.
        averages: a function that returns the number of averages, of the structural hyperparameters; by default 1.
        returns: whether the weights become the average at each step at which its share is not 0.
        moving: whether the technique's state are moving estimates of activations, which evaluation uses. Averages of
            weights come with the same averages of these.
        metrics: a function that returns metrics for each epoch's record: name to ``(slots,)``.
        after_epoch: a function that gets the epoch's metrics, each ``(slots,)`` in float64. It may change the
            technique's state in place, and it may return which slots stop here, ``(slots,)`` bool.
    """

    name: str
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)
    set: Mapping[str, Value] = field(default_factory=dict)
    space: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    derive: Mapping[str, Callable[[Mapping[str, Value]], Value]] = field(default_factory=dict)
    role: str | None = None
    check: Callable[[StudyContext], None] | None = None
    prepare: Callable[[Data, StudyContext], Data] | None = None
    rows: Callable[[Tensor, Mapping[str, Value]], Tensor] | None = None
    edges: Callable[[Tensor, Mapping[str, Value]], Sequence[Tensor]] | None = None
    init: Callable[[Tensor, Tensor, Field, Values], Tensor] | None = None
    parameters: Callable[[int, int], Mapping[str, float]] | None = None
    input_parameters: Callable[[int], Mapping[str, float]] | None = None
    waves: Callable[[Mapping[str, Value]], int] | None = None
    branches: Callable[[int, Mapping[str, Value]], int] | None = None
    mix: Callable[[Tensor, int, Values], Tensor] | None = None
    mix_loops: Loops | None = None
    residual: Callable[[int, Mapping[str, Value]], bool] | None = None
    members: Callable[[Mapping[str, Value]], int] | None = None
    start: Callable[[Values], dict[str, Tensor]] | None = None
    input: Callable[[Tensor, Values], Tensor] | None = None
    layer: Callable[[Tensor, int, Values], Tensor] | None = None
    affine: Callable[[int, Values], tuple[Tensor, Tensor] | None] | None = None
    gate: Callable[[int, Tensor, Values], Gate | None] | None = None
    loops: Loops | None = None
    monte_carlo: bool = False
    targets: Callable[[Tensor, Values], Tensor] | None = None
    loss: Callable[[Batch, Values], Tensor] | None = None
    penalty: Callable[[Tensor, Values], Tensor] | None = None
    powers: Mapping[int, str] = field(default_factory=dict)
    gradient: Callable[[Tensor, Tensor, Values], None] | None = None
    schedule: Callable[[int, int, Values], Mapping[str, Tensor]] | None = None
    rate: Callable[[int, int, Values], Tensor] | None = None
    project: Callable[[Tensor, Values], None] | None = None
    perturb_inputs: Callable[[Tensor, Tensor, Values], Tensor] | None = None
    perturb_weights: Callable[[Tensor, Tensor, Values], Tensor] | None = None
    average: Callable[[int, int, Values], Tensor] | None = None
    averages: Callable[[Mapping[str, Value]], int] | None = None
    returns: bool = False
    moving: bool = False
    metrics: Callable[[Tensor, Values], Mapping[str, Tensor]] | None = None
    after_epoch: Callable[[Mapping[str, Tensor], Values], Tensor | None] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise RequestError(f"a technique's name must be a non-empty string, got {self.name!r}")
        for name, declared in dict(self.hyperparameters).items():
            if not isinstance(name, str) or not isinstance(declared, Numeric | Structural):
                raise RequestError(f"technique {self.name!r}: {name!r} is neither Numeric nor Structural")
        if (self.branches is None) != (self.mix is None) or (self.mix is None and self.mix_loops is not None):
            raise RequestError(
                f"technique {self.name!r}: the hooks 'branches' and 'mix' come together, and 'mix_loops' needs both"
            )

    def is_active(self, numeric: Collection[str], structure: Mapping[str, Value]) -> bool:
        """Return whether the technique does anything to trials with these hyperparameters.

        It is active if one of its numeric hyperparameters is in use, or if a structural one is not at its neutral
        value. A technique with neither kind cannot be switched off, so it is always active.

        Args:
            numeric: the names of the numeric hyperparameters in use.
            structure: the structural hyperparameters and their values.
        """
        own = self.hyperparameters.items()
        if any(isinstance(declaration, Numeric) and name in numeric for name, declaration in own):
            return True
        switches = {
            name: declaration.neutral
            for name, declaration in own
            if isinstance(declaration, Structural) and declaration.neutral is not None
        }
        if any(structure.get(name, neutral) != neutral for name, neutral in switches.items()):
            return True
        return not switches and not any(isinstance(declaration, Numeric) for _, declaration in own)
