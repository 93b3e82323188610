"""The loop that a user writes for one row of the table of `mixed.py`: `torch.nn`, `torch.optim`, step by step.

The regularisers mean what they mean in `objectives/`: penalties are on every parameter, biases too; max-norm bounds the
incoming weights of every neuron; dropout and batch normalisation follow the activation; consistency passes each
minibatch through the network once more, with noise on pixels in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Plain:
    """The loop that a competent user writes for one row of the table.

    Attributes:
        values: the fixed hyperparameters with those of the row; a regulariser that is not named is not there.
        tensors: training inputs and classes, and validation inputs and classes, on the device.
        classes: the number of classes.
    """

    values: Mapping[str, Any]
    tensors: tuple[Tensor, Tensor, Tensor, Tensor]
    classes: int

    def network(self) -> nn.Sequential:
        values, (x, *_) = self.values, self.tensors
        hidden = [int(width) for width in str(values["hidden"]).split("x")]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([x.shape[1], *hidden]):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU()]
            if values.get("batch_norm"):
                layers.append(nn.BatchNorm1d(outputs))
            if "dropout" in values:
                layers.append(nn.Dropout(values["dropout"]))
        return nn.Sequential(*layers, nn.Linear(hidden[-1], self.classes)).to(x.device)

    def objective(self, model: nn.Sequential, x: Tensor, out: Tensor, loss: Tensor) -> Tensor:
        """Return the loss with the row's penalty."""
        values = self.values
        if "l2" in values:
            loss = loss + values["l2"] * sum(weight.square().sum() for weight in model.parameters())
        if "l1" in values:
            loss = loss + values["l1"] * sum(weight.abs().sum() for weight in model.parameters())
        if "consistency" in values:
            noisy = (x + values["sigma"] * torch.randn_like(x)).clamp_(0, 1)
            loss = loss + values["consistency"] * F.mse_loss(model(noisy), out)
        return loss

    @torch.no_grad()
    def project(self, model: nn.Sequential) -> None:
        """Change the weights after a step as the row asks."""
        values = self.values
        if "max_norm" in values:
            for module in model:
                if isinstance(module, nn.Linear):
                    module.weight.copy_(module.weight.renorm(2, 0, values["max_norm"]))
        if "l1_prox" in values:
            for weight in model.parameters():
                weight.copy_(F.softshrink(weight, values["l1_prox"]))

    def train(self) -> list[float]:
        """Train, and return the validation loss after each epoch."""
        values, (x, y, x_val, y_val) = self.values, self.tensors
        model = self.network()
        optimiser = torch.optim.Adam(model.parameters(), lr=values["lr"])
        losses = []
        for _ in range(values["epochs"]):
            model.train()
            total = torch.zeros((), device=x.device)
            for chosen in torch.split(torch.randperm(len(x), device=x.device), values["batch_size"]):
                batch = x[chosen]
                optimiser.zero_grad()
                out = model(batch)
                loss = F.cross_entropy(out, y[chosen])
                torch.autograd.backward(self.objective(model, batch, out, loss))
                optimiser.step()
                self.project(model)
                total += loss.detach() * len(chosen)
            model.eval()
            with torch.no_grad():
                out = model(x_val)
                accuracy = (out.argmax(1) == y_val).float().mean()
                metrics = torch.stack([total / len(x), F.cross_entropy(out, y_val), accuracy]).tolist()
            losses.append(metrics[1])
        return losses
