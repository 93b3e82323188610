"""Batch size searches the number of rows in a minibatch.

``g = mean of the gradients of batch_size rows``. With smaller minibatches an epoch has more steps, and noisier ones.

Hyperparameters searched: `batch_size`, in powers of two. Each is a signature, so the trials of one size train together.

Source: Keskar et al., "On large-batch training for deep learning: generalization gap and sharp minima" (ICLR 2017).
"""

from __future__ import annotations

from search.technique import Technique

technique = Technique(name="batch_size", space={"batch_size": {"choices": [32, 64, 128, 256, 512]}})
