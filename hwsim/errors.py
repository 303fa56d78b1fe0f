"""Errors that a user can act on: one sentence that names the place, the value, the rule and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HwsimError(Exception):
    """Base of every error a user can fix; its text is the sentence that the command line prints."""


class NetError(HwsimError):
    """A net is wrong: a layer's shapes do not match, a tensor is missing, the graph has a cycle."""


class ModelFileError(NetError):
    """A model file cannot be read: truncated, of another format, or pointing outside its folder."""


class UnknownOperatorError(ModelFileError):
    """A model file holds operators that hwsim does not know; the text lists all of them."""


class ChipError(HwsimError):
    """A chip profile or kernel table is wrong; the text lists every bad field at once."""


class CostError(HwsimError):
    """A net cannot be costed on a chip: no rule, no kernel entry, or no engine takes a layer."""


class ForwardError(HwsimError):
    """A forward pass cannot be run: an input is missing or of the wrong shape, weights are absent."""


class MissingExtraError(HwsimError):
    """An optional dependency is not installed; the text holds the install line."""


class UsageError(HwsimError):
    """A call or a command line asks for something that does not exist or makes no sense."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=5, cutoff=0.6)
    return f"; did you mean {max(near, key=lambda other: _likeness(word, other))!r}?" if near else ""


def _likeness(word: str, other: str) -> tuple[float, int]:
    """Return how alike two words are; of those equally alike, one that shares fewer and so longer pieces is nearer."""
    matcher = difflib.SequenceMatcher(None, other, word)
    return matcher.ratio(), -len(matcher.get_matching_blocks())
