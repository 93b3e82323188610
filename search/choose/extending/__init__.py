"""Widen a range when the budget is spent and the best trial lies at its edge, and search on (`--extend`).

    budget spent --> best at an edge? --> a wider range, more trials --> budget spent --> ...

Each decision is stored in the Optuna study, as the verdicts of pruners are, and followed by every process that
continues the study. The study's identity remains that of the ranges it began with. A decision depends only on finished
trials, and is made when no trial is in training: an interrupted study comes to the same decisions.
"""
