"""The overfit check: can the study memorise one batch of its data, and one batch of noise? If not, what is wrong?

A network, a loss and an optimiser that work bring the loss of a single batch to nearly zero, even if the batch is
noise. A study that can't do so has a fault, and searching it would be a waste.

    techniques from outside --> tried (`search.tryout`)
    study --> least regularised settings --> one batch, one of noise --> overfit --> fitted, or why not

Nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from search.check.attempts import attempts
from search.check.diagnosis import Subject
from search.check.fit import Fit, format_span, format_value
from search.check.weakest import least_regularised
from search.errors import counted
from search.show import html
from search.show.sheet import Sheet
from search.show.text import plain
from search.study.progress import Log
from search.technique import Value
from search.train import streams
from search.train.crew import one_thread
from search.tryout.tryout import Tried, try_outside

if TYPE_CHECKING:
    from search.study.study import BaseStudy

MOST_ROWS = 128


@dataclass(frozen=True)
class Check:
    """The result of the check of a study; as text, a line for each technique from outside, one for the settings,
    one for each batch and one for both.

    Attributes:
        study: the name of the study.
        values: the values of the hyperparameters that the study searches or sets; both batches were trained with them.
        rates: the learning rates that were tried, as one pack.
        data: the result for a batch of the data, the first one of replicate 0.
        noise: the result for a batch of normally distributed inputs with the same targets, shuffled.
        tried: the techniques from outside the package, which were tried and keep the contracts.
    """

    study: str
    values: Mapping[str, Value]
    rates: Sequence[float]
    data: Fit
    noise: Fit
    tried: Sequence[Tried] = ()

    @property
    def fitted(self) -> bool:
        """Whether both batches were fitted."""
        return self.data.fitted and self.noise.fitted

    @property
    def meaning(self) -> str:
        """The conclusion from both batches."""
        if self.data.limited and (self.noise.fitted or self.noise.limited):
            return (
                "all that can be learnt is learnt: network, loss and optimiser work, and the remaining loss lies in "
                "the data"
            )
        if self.data.fitted and self.noise.fitted:
            return "network, loss, optimiser and data work together: the study can memorise a batch"
        if self.data.fitted:
            return (
                "the data is learnt but noise is not memorised: the study works, but trained this way it lacks the "
                "capacity to overfit"
            )
        if self.noise.fitted:
            return "noise is memorised, so network, loss and optimiser work: the fault lies in the data"
        return "neither batch is fitted: trained this way the study memorises nothing, whatever the data"

    def __repr__(self) -> str:
        settings = "".join(f", {name}={format_value(value)}" for name, value in self.values.items())
        tried = "".join(f"{one}\n" for one in self.tried)
        return (
            f"{tried}"
            f"{self.study}: one batch of {counted(self.data.rows, 'row')}, lr {format_span(self.rates)}{settings}\n"
            f"data:  {self.data}\n"
            f"noise: {self.noise}\n"
            f"{self.meaning}"
        )

    def _repr_html_(self) -> str:
        heading = str(self).splitlines()[len(self.tried)]
        headings = ("batch", "", "loss", "threshold", "after steps", "lr", "")
        rows = [(name, *_fit(fit)) for name, fit in (("data", self.data), ("noise", self.noise))]
        return html.block(
            html.table(Sheet(headings, rows, ("batch", ""), heading)), html.lines([self.meaning, *map(str, self.tried)])
        )

    def outcome(self) -> dict[str, Any]:
        """Return the result as JSON can hold it."""
        return {
            "study": self.study,
            "fitted": self.fitted,
            "meaning": self.meaning,
            "data": plain(asdict(self.data)),
            "noise": plain(asdict(self.noise)),
            "rates": [plain(rate) for rate in self.rates],
            "values": plain(self.values),
            "tried": [asdict(one) for one in self.tried],
        }


def _fit(fit: Fit) -> tuple[str, ...]:
    loss, threshold, rate = (f"{value:.3g}" for value in (fit.loss, fit.threshold, fit.lr))
    return "fitted" if fit.fitted else "not fitted", loss, f"< {threshold}", f"{fit.steps:,}", rate, fit.why


@one_thread()
def check(study: BaseStudy, log: Log | None = None) -> Check:
    """Train one batch of a study, and one of noise, until they are fitted, or find out why they are not.

    Args:
        study: the study, to which nothing is written.
        log: gets lines on what is trained; by default they are shown on stderr.

    Raises:
        RequestError: a technique from outside breaks a contract.
    """
    tried = try_outside(study)
    values = least_regularised(study.space)
    data, seed = study.program(values).own(study.data), study.recipe.seed
    order = streams.permutation(streams.key(seed, 0, "order", 0), len(data.x_train))
    rows = order[: max(2, min(int(values["batch_size"]), MOST_ROWS))]
    x, y = data.x_train[rows], data.y_train[rows]
    noise = streams.normal(streams.key(seed, 0, "noise batch"), x.numel()).view(x.shape)
    if data.pixel_max is not None:
        # Techniques may rely on pixels within their range.
        noise = data.inputs.apply(data.inputs.invert(noise).clamp(0, data.pixel_max))
    shuffled = y[streams.permutation(streams.key(seed, 0, "noise targets"), len(y))]
    subject = Subject(study, values, x, y, "data", log)
    other = Subject(study, values, noise, shuffled, "noise", log)
    what = f"training data and noise: lr {format_span(subject.rates)}"
    first, second = attempts([subject.job(), other.job()], subject.epochs, study.device, what, log)
    of_data, cure = subject.fit(first)
    of_noise, _ = other.fit(second, cure)
    own = {name: values[name] for name in values if name in (*study.space.searched, *study.recipe.set)}
    for name in ("lr", "batch_size", "epochs"):
        own.pop(name, None)
    return Check(study.name, own, subject.rates, of_data, of_noise, tried)
