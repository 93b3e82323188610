"""The spellings of true and false."""

from __future__ import annotations

from collections.abc import Mapping

_PAIRS = (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("on", "off"), ("1", "0"))
_TRUE, _FALSE = (frozenset(words) for words in zip(*_PAIRS, strict=True))


def spellings_of(counts: Mapping[str, int]) -> dict[str, str]:
    """Return the value of each spelling in small letters, or {} if the texts are no booleans that need it.

    ``true`` and ``TRUE`` become True. ``Yes`` and ``yes`` become the commoner of the two. If a column mixes words, as
    in yes, no, true and 0, all become True and False.

    Args:
        counts: the number of cells of each different text.
    """
    small = {text.casefold() for text in counts}
    if not small or not small <= _TRUE | _FALSE:
        return {}
    pairs = [pair for pair in _PAIRS if small & set(pair)]
    if len(pairs) > 1 or pairs[0] == _PAIRS[0]:
        return {word: "True" if word in _TRUE else "False" for word in sorted(small)}
    if len(counts) == len(small):
        return {}
    return {
        word: max((text for text in counts if text.casefold() == word), key=lambda text: counts[text])
        for word in sorted(small)
    }
