"""A column of words: a number per row, and what the numbers stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Words:
    """Words by row.

    Attributes:
        codes: Index into the vocabulary, shape [row].
        vocabulary: The words, each once.
    """

    codes: Codes
    vocabulary: tuple[str, ...]

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Words:
        """Return words given row by row; what is no string is written as one."""
        numbers: dict[str, int] = {}
        codes = [numbers.setdefault(str(value), len(numbers)) for value in np.asarray(values, dtype=object).tolist()]
        return cls(np.array(codes, dtype=np.int32), tuple(numbers))

    @classmethod
    def same(cls, word: str, count: int) -> Words:
        """Return one word in every row."""
        return cls(np.zeros(count, dtype=np.int32), (word,))

    @classmethod
    def empty(cls, count: int) -> Words:
        """Return rows of empty words."""
        return cls.same("", count)

    @classmethod
    def joined(cls, parts: Sequence[Words]) -> Words:
        """Return columns below each other."""
        numbers: dict[str, int] = {}
        codes = []
        for part in parts:
            new = np.array([numbers.setdefault(word, len(numbers)) for word in part.vocabulary], dtype=np.int32)
            codes.append(new[part.codes] if len(part.codes) else part.codes)
        return cls(np.concatenate(codes), tuple(numbers))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    @overload
    def __getitem__(self, rows: int) -> str: ...
    @overload
    def __getitem__(self, rows: slice | npt.NDArray[Any]) -> Words: ...
    def __getitem__(self, rows: int | slice | npt.NDArray[Any]) -> str | Words:
        """Return the word of a row, or a column of some rows."""
        if isinstance(rows, int | np.integer):
            return self.vocabulary[int(self.codes[rows])]
        return Words(self.codes[rows], self.vocabulary)

    def decoded(self) -> npt.NDArray[np.object_]:
        """Return the words themselves, shape [row]; equal ones are one object."""
        return np.array([*self.vocabulary, None], dtype=object)[:-1][self.codes]
