"""Weight decay, as the optimiser has it.

Coupled in SGD, Adam, Adagrad and RMSprop: ``g <- g + weight_decay * w``, so that it equals an L2 penalty of half that
strength. Decoupled in AdamW: ``w <- w (1 - lr * weight_decay)`` beside Adam's step.

Sampled: the optimiser's own `weight_decay`, over a range that suits it coupled; which optimiser is the study's choice.
Decoupled it is multiplied by the learning rate, and so takes larger values: ``--set optimizer=adamw --space
weight_decay=1e-2:10:log``.

Source: Hanson and Pratt, "Comparing biases for minimal network construction with back-propagation" (NIPS 1988);
Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019); `weight_decay` of `torch.optim`.
"""

from __future__ import annotations

from search.technique import Technique

technique = Technique(name="weight_decay", space={"weight_decay": {"low": 1e-5, "high": 1.0, "log": True}})
