"""What an ablation says: a verdict on each technique and each pair, in a sentence with its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.ablate.switches import Switch
from search.record.ablation import HELPS, HURTS, LEVEL, UNDECIDED, WOULD_HELP, WOULD_HURT, Effect, Interaction, Measured
from search.show.text import assignments, enumerated, format_figures
from search.train.metrics.objective import Objective

_ROUNDING = 1e-6  # relative; training is in float32


@dataclass(frozen=True)
class Words:
    """How the numbers of an ablation are put into words.

    Attributes:
        aim: the objective.
        unit: what follows a value, such as " points".
        networks: the number of networks of each variant.
        family: the number of techniques for which p values are adjusted.
        objective: the objective of the trial.
    """

    aim: Objective
    unit: str
    networks: int
    family: int
    objective: float

    def effect(self, switch: Switch, objective: float | None, found: Measured | None, diverged: int) -> Effect:
        """Return the effect of switching a technique, with its verdict."""
        verdict, sentence = self._diverges(switch, diverged) if found is None else self._verdict(switch, found)
        return Effect(
            switch.technique,
            switch.used,
            switch.at,
            switch.origin,
            objective,
            found,
            diverged,
            verdict,
            sentence,
        )

    def _diverges(self, switch: Switch, diverged: int) -> tuple[str, str]:
        verdict = HELPS if switch.used else WOULD_HURT
        count = f"{diverged} of {self.networks} networks never have a finite loss"
        return verdict, f"{switch.technique} {verdict}: {_variant(switch)} {count}"

    def _verdict(self, switch: Switch, found: Measured) -> tuple[str, str]:
        name, variant = switch.technique, _variant(switch)
        if self._is_rounding(found):
            return UNDECIDED, f"{name} makes no difference: {variant} each network has the same {self.aim.shown}"
        if found.adjusted < LEVEL:
            worse = self.aim.loss(found.value) > 0
            verdict = (HELPS if worse else HURTS) if switch.used else (WOULD_HURT if worse else WOULD_HELP)
            side = "higher" if found.value > 0 else "lower"
            value, interval = self._sizes(found)
            return verdict, f"{name} {verdict}: {variant} the {self.aim.shown} is {value} {side} ({interval})"
        value, low, high = format_figures(found.value, found.low, found.high, digits=2)
        interval = f"95% interval {low} to {high}"
        if found.p < LEVEL:
            interval += f" of this technique alone; adjusted for {self.family} techniques, p is {found.adjusted:.2g}"
        changes = f"{variant} the {self.aim.shown} changes by {value}{self.unit} ({interval})"
        return UNDECIDED, f"{name}: no difference could be told: {changes}"

    def interaction(
        self, pair: Sequence[Switch], objective: float | None, switched: Measured | None, found: Measured | None
    ) -> Interaction:
        """Return what two techniques do together.

        Args:
            pair: the two.
            objective: the objective of the variant with both switched; None if it diverges.
            switched: that minus the objective of the trial; None likewise.
            found: the interaction; None if a variant diverges.
        """
        first, second = pair
        prefixes = ["without " if one.used else "with " for one in pair]
        # "without l2 and dropout", but "without l2 and with dropout"
        rest = "" if prefixes[0] == prefixes[1] else prefixes[1]
        variant = f"{prefixes[0]}{first.technique} and {rest}{second.technique}"
        sentence = self._together(first.technique, second.technique, found)
        told = found is not None and found.adjusted < LEVEL and not self._is_rounding(found)
        if told and switched is not None:
            value, low, high = format_figures(switched.value, switched.low, switched.high, digits=2)
            sentence += f"; {variant} it changes by {value}{self.unit} (95% interval {low} to {high})"
        names = first.technique, second.technique
        return Interaction(names, variant, objective, switched, found, told, sentence)

    def _together(self, first: str, second: str, found: Measured | None) -> str:
        both = f"{first} and {second}"
        if found is None:
            return f"{both}: no interaction is measured, because some networks of these variants have no finite loss"
        if self._is_rounding(found):
            return f"{both} do not interact: {first} changes each network as much with {second} as without it"
        if found.adjusted >= LEVEL:
            value, low, high = format_figures(found.value, found.low, found.high, digits=2)
            between = f"the effect of {first} on the {self.aim.shown} differs by {value}{self.unit}"
            return (
                f"{both}: no interaction could be told: {between} between {second} off and on"
                f" (95% interval {low} to {high})"
            )
        less = self.aim.loss(found.value) > 0
        verb = "lowers" if self.aim.direction == "minimize" else "raises"
        value, interval = self._sizes(found)
        size = f"{value} {'less' if less else 'more'}"
        return (
            f"{both} each help {'less' if less else 'more'} beside the other: {first} {verb} the {self.aim.shown}"
            f" by {size} with {second} than without it ({interval})"
        )

    def _is_rounding(self, found: Measured) -> bool:
        """Return whether a difference is no larger than what another order of sums may change."""
        return max(abs(found.low), abs(found.high)) <= _ROUNDING * abs(self.objective)

    def _sizes(self, found: Measured) -> tuple[str, str]:
        """Return a difference that is told, and its interval, as positive numbers."""
        low, high = sorted((abs(found.low), abs(found.high)))
        value, *bounds = format_figures(abs(found.value), low, high, digits=2)
        return f"{value}{self.unit}", f"95% interval {bounds[0]} to {bounds[1]}"


def _variant(switch: Switch) -> str:
    return "without it" if switch.used else f"with {assignments(switch.at)}"


def headline(effects: Sequence[Effect], interactions: Sequence[Interaction]) -> str:
    """Return the verdicts on all techniques in one sentence, with the pairs that interact."""
    parts = []
    for verdict, plural in ((HELPS, "help"), (HURTS, "hurt"), (WOULD_HELP, WOULD_HELP), (WOULD_HURT, WOULD_HURT)):
        if names := [one.technique for one in effects if one.verdict == verdict]:
            parts.append(f"{enumerated(names)} {verdict if len(names) == 1 else plural}")
    if names := [one.technique for one in effects if one.verdict == UNDECIDED]:
        parts.append(f"no difference could be told for {enumerated(names)}")
    parts += [f"{enumerated(one.techniques)} interact" for one in interactions if one.told]
    return "; ".join(parts)
