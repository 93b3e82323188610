"""Weight decay pulls the weights towards zero at each step, by the rule of the optimiser.

It is coupled in SGD, Adam, Adagrad and RMSprop: ``g <- g + weight_decay * w``, which equals an L2 penalty of half that
strength. It is decoupled in AdamW: ``w <- w (1 - lr * weight_decay)``, in addition to Adam's step.

Shapes: `weight_decay` is ``(slots,)``; g and w are ``slots x size``.

Hyperparameters searched: `weight_decay`, over a range for coupled weight decay; the study chooses the optimiser.
Decoupled weight decay is multiplied by the learning rate, so it takes larger values: ``--set optimizer=adamw --space
weight_decay=1e-2:10:log``.

Source: Hanson and Pratt, "Comparing biases for minimal network construction with back-propagation" (NIPS 1988);
Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019); `weight_decay` of `torch.optim`.
"""

from __future__ import annotations

from search.technique import Technique

technique = Technique(name="weight_decay", space={"weight_decay": {"low": 1e-5, "high": 1.0, "log": True}})
