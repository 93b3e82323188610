"""Training: packs of slots, their network, optimisers, draws and metrics."""
