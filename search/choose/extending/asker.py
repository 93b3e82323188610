"""An asker that follows the extensions of a study, and decides on them."""

from __future__ import annotations

from collections.abc import Callable

from search.choose.asking import Asker, asked_trials
from search.choose.extending.extended import Extended
from search.recipe.space import Space
from search.record import extensions
from search.record.observer import Asked


class ExtendingAsker:
    """Wraps an asker, whose space and budget grow with the extensions of the study.

    Args:
        asker: the asker that is wrapped.
        extended: the study's extensions when it was opened.
        validate: raises RequestError for a space that the study cannot have. By default the asker only follows the
            extensions that are stored, and adds none.
    """

    def __init__(self, asker: Asker, extended: Extended, validate: Callable[[Space], object] | None = None) -> None:
        self.study, self.objectives, self.recorder = asker.study, asker.objectives, asker.recorder
        self._asker, self._validate = asker, validate
        self._follow(extended)

    def _follow(self, extended: Extended) -> None:
        self.extended = extended
        self._asker.ask_from(extended.space, max(self._asker.budget, extended.budget), extended.regions)

    @property
    def space(self) -> Space:
        """The space that is sampled now."""
        return self._asker.space

    @property
    def budget(self) -> int:
        """The total number of trials now."""
        return self._asker.budget

    def next_cohort(self) -> tuple[int, list[Asked]] | None:
        """Return what `Asker.next_cohort` returns; None when the budget is spent and no range needs widening."""
        with self._asker.turn():
            # Another process may have extended the study.
            stored = self.extended.read(self.study.user_attrs)
            if stored.extensions != self.extended.extensions:
                self._follow(stored)
            cohort = self._asker.next_in_turn()
            while cohort is None and self._extend():
                cohort = self._asker.next_in_turn()
            return cohort

    def _extend(self) -> bool:
        """Widen a range if the best trial lies at its edge; return whether one was widened."""
        if self._validate is None:
            return False
        extension = self.extended.decide(asked_trials(self.study.get_trials(deepcopy=False)), self._validate)
        if extension is None:
            return False
        extended = self.extended.extended_by(extension)
        # Stored before a trial is asked for in the wider range: a process that adopts that trial then knows its range.
        extensions.store(self.study, extended.extensions)
        self._follow(extended)
        return True
