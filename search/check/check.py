"""The overfit check: does the study learn one batch by heart, and one of noise? If not, what is wrong?

A network, loss and optimiser that work bring the loss of a single batch to nearly zero, even where there is nothing to
understand. A study that does not is at fault, and searching it is a waste.

    study --> weakest settings --> one batch, one of noise --> overfit --> fitted, or why not

Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from search.check.diagnosis import Fit, Subject, shown, span
from search.check.weakest import weakest
from search.errors import counted
from search.show import html
from search.show.sheet import Sheet
from search.show.text import plain
from search.technique import Value
from search.train import streams

if TYPE_CHECKING:
    from search.study.study import BaseStudy

MOST_ROWS = 128


@dataclass(frozen=True)
class Check:
    """What the check of a study came to; as text, a line for the setting, one for each batch and one for both.

    Attributes:
        study: its name.
        values: the hyperparameters of the study's own that both batches were trained with.
        rates: the learning rates tried, as one pack.
        data: a batch of the study's: the first of replicate 0.
        noise: one of normal inputs, with the same targets, shuffled.
    """

    study: str
    values: Mapping[str, Value]
    rates: Sequence[float]
    data: Fit
    noise: Fit

    @property
    def fitted(self) -> bool:
        """Whether both batches were."""
        return self.data.fitted and self.noise.fitted

    @property
    def meaning(self) -> str:
        """What the two batches say together."""
        if self.data.limited and (self.noise.fitted or self.noise.limited):
            return "all is learnt that can be: network, loss and optimiser work, the loss that is left lies in the data"
        return {
            (True, True): "network, loss, optimiser and data work together: the study can learn what it is shown",
            (
                True,
                False,
            ): "the data is learnt and noise is not memorised: the study works, but as it trains it has not "
            "the capacity to overfit",
            (False, True): "noise is memorised, so network, loss and optimiser work: the fault lies in the data",
            (False, False): "neither is fitted: trained this way nothing is learnt by heart, whatever the data",
        }[self.data.fitted, self.noise.fitted]

    def __repr__(self) -> str:
        setting = "".join(f", {name}={shown(value)}" for name, value in self.values.items())
        return (
            f"{self.study}: one batch of {counted(self.data.rows, 'row')}, lr {span(self.rates)}{setting}\n"
            f"data:  {self.data}\n"
            f"noise: {self.noise}\n"
            f"{self.meaning}"
        )

    def _repr_html_(self) -> str:
        heading, *_ = str(self).splitlines()
        headings = ("batch", "", "loss", "wanted", "after steps", "lr", "")
        rows = [(name, *_fit(fit)) for name, fit in (("data", self.data), ("noise", self.noise))]
        return html.block(html.table(Sheet(headings, rows, ("batch", ""), heading)), html.lines([self.meaning]))

    def outcome(self) -> dict[str, Any]:
        """The same, as JSON can hold it."""
        return {
            "study": self.study,
            "fitted": self.fitted,
            "meaning": self.meaning,
            "data": plain(asdict(self.data)),
            "noise": plain(asdict(self.noise)),
            "rates": [plain(rate) for rate in self.rates],
            "values": plain(self.values),
        }


def _fit(fit: Fit) -> tuple[str, ...]:
    loss, wanted, rate = (f"{value:.3g}" for value in (fit.loss, fit.threshold, fit.lr))
    return "fitted" if fit.fitted else "not fitted", loss, f"< {wanted}", f"{fit.steps:,}", rate, fit.why


def check(study: BaseStudy, say: Callable[[str], None] = lambda _line: None) -> Check:
    """Train one batch of a study, and one of noise, until they are fitted, or find out why they are not.

    Args:
        say: is told what is being trained, a line each.
    """
    values = weakest(study.space)
    data, seed = study.data, study.recipe.seed
    order = streams.permutation(streams.key(seed, 0, "order", 0), len(data.x_train))
    rows = order[: max(2, min(int(values["batch_size"]), MOST_ROWS))]
    x, y = data.x_train[rows], data.y_train[rows]
    noise = streams.normal(streams.key(seed, 0, "noise batch"), x.numel()).view(x.shape)
    if data.pixel_max is not None:
        # Noise that pixels can be: techniques may hold to that.
        noise = data.inputs.apply(data.inputs.invert(noise).clamp(0, data.pixel_max))
    shuffled = y[streams.permutation(streams.key(seed, 0, "noise targets"), len(y))]
    subject = Subject(study, values, x, y, lambda line: say(f"data: {line}"))
    of_data, cure = subject.fit()
    of_noise, _ = Subject(study, values, noise, shuffled, lambda line: say(f"noise: {line}")).fit(cure)
    own = {name: values[name] for name in values if name in (*study.space.searched, *study.recipe.set)}
    for name in ("lr", "batch_size", "epochs"):
        own.pop(name, None)
    return Check(study.name, own, subject.rates, of_data, of_noise)
