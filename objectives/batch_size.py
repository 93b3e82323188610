"""The minibatch's size.

The gradient is the mean over `batch_size` rows: smaller minibatches make more steps of an epoch, and noisier ones.

Sampled: `batch_size`, in powers of two; each is a signature, so the trials of one size train together.

Source: Keskar et al., "On large-batch training for deep learning: generalization gap and sharp minima" (ICLR 2017).
"""

from __future__ import annotations

from search.technique import Technique

technique = Technique(name="batch_size", space={"batch_size": {"choices": [32, 64, 128, 256, 512]}})
