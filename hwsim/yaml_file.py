"""Reading YAML safely: plain values only, every one with the line it stands on.

Files are untrusted. Tags, anchors, aliases, merge keys, several documents and files over a size limit are refused on
the stream of parser events, before any value is built; that also rules out alias bombs.
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import Any

from hwsim.errors import HwsimError, ModelFileError

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_WORD_LENGTH = 4096
_LONG_WORD = re.compile(rf"[^\s,:\[\]{{}}]{{{MAX_WORD_LENGTH + 1}}}")

Key = tuple[str | int, ...]
Position = tuple[int, int]


def read_yaml(
    path: str | Path,
    *,
    error: type[HwsimError] = ModelFileError,
    max_bytes: int = MAX_BYTES,
    max_values: int | None = None,
) -> tuple[Any, dict[Key, Position]]:
    """Return a YAML file's value and where each part of it stands.

    Args:
        path: The file.
        error: What to raise.
        max_bytes: Larger files are refused unread.
        max_values: Files with more values are refused when that many are read; None sets no limit.

    Returns:
        The value, of dicts, lists, strings, numbers, truth values and None; and line and column, counted from one, by
        the path of keys and indices that leads to a part.

    Raises:
        HwsimError: As ``error``: the file is missing, too large, not UTF-8, not YAML, or uses a feature refused above.
    """
    text = _text(Path(path), str(path), error, max_bytes)
    return _Reader(str(path), error, max_values).read(text)


def _text(path: Path, name: str, error: type[HwsimError], max_bytes: int) -> str:
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise error(f"{name}: is a folder, not a file")
        if not path.is_file():
            raise error(f"{name}: is not a regular file")
        if size > max_bytes:
            raise error(f"{name}: has {size:,} bytes; a file of this kind may have {max_bytes:,} at most")
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as problem:
        raise error(f"{name}: cannot be read: {problem.strerror}") from None
    if len(content) > max_bytes:
        raise error(f"{name}: has more than {max_bytes:,} bytes; a file of this kind may have no more")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{name}: byte {problem.start} is not UTF-8: not a YAML file") from None


class _Reader:
    """One walk over the parser's events."""

    def __init__(self, name: str, error: type[HwsimError], max_values: int | None) -> None:
        from ruamel.yaml import events

        self._name, self._error, self._max_values = name, error, max_values
        self._kinds = events
        self._where: dict[Key, Position] = {}

    def read(self, text: str) -> tuple[Any, dict[Key, Position]]:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        long = _LONG_WORD.search(text)
        if long is not None:  # before the scanner takes it character by character
            line = text.count("\n", 0, long.start()) + 1
            raise self._error(f"{self._name}:{line}: a word of more than {MAX_WORD_LENGTH:,} characters")
        value: Any = None
        documents = 0
        try:
            parser = YAML(typ="safe", pure=True)
            parser.Scanner = _scanner()
            self._events = iter(parser.parse(text))
            for event in self._events:
                if isinstance(event, self._kinds.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._fail(event, "a second document starts here; keep one in a file")
                elif isinstance(event, self._kinds.NodeEvent):
                    value = self._node(event, ())
        except YAMLError as problem:
            mark = getattr(problem, "problem_mark", None)
            place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
            told = getattr(problem, "problem", None) or str(problem).splitlines()[0]
            raise self._error(f"{self._name}{place}: not YAML: {told}") from None
        if not documents or value is None:
            raise self._error(f"{self._name}: is empty")
        return value, self._where

    def _node(self, event: Any, key: Key) -> Any:
        if isinstance(event, self._kinds.AliasEvent):
            self._fail(event, f"alias *{event.anchor}: aliases are refused; write the value out")
        if event.anchor is not None:
            self._fail(event, f"anchor &{event.anchor}: anchors are refused; write the value out")
        if getattr(event, "tag", None) is not None:
            self._fail(event, f"tag {event.tag}: tags are refused; write a plain value")
        if len(key) > MAX_DEPTH:
            self._fail(event, f"nested deeper than {MAX_DEPTH} levels")
        if self._max_values is not None and len(self._where) >= self._max_values:
            self._fail(event, f"has more than {self._max_values:,} values")
        self._where[key] = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, self._kinds.ScalarEvent):
            if len(event.value) > MAX_WORD_LENGTH:
                self._fail(event, f"a word of {len(event.value):,} characters; {MAX_WORD_LENGTH:,} is the most")
            return self._scalar(event)
        return self._mapping(key) if isinstance(event, self._kinds.MappingStartEvent) else self._sequence(key)

    def _mapping(self, key: Key) -> dict[str | int, Any]:
        values: dict[str | int, Any] = {}
        for event in self._events:
            if isinstance(event, self._kinds.MappingEndEvent):
                break
            if not isinstance(event, self._kinds.ScalarEvent):
                self._fail(event, "a key must be a word or a number")
            name = self._node(event, (*key, event.value))
            if not isinstance(name, str | int) or isinstance(name, bool):
                name = event.value
            if name == "<<":
                self._fail(event, "merge keys are refused; write the values out")
            if name in values:
                self._fail(event, f"key {name!r} stands here twice")
            place = self._where.pop((*key, event.value))
            values[name] = self._node(next(self._events), (*key, name))
            # A wrong field is looked for at its name, not at its value.
            self._where[(*key, name)] = place
        return values

    def _sequence(self, key: Key) -> list[Any]:
        values: list[Any] = []
        for event in self._events:
            if isinstance(event, self._kinds.SequenceEndEvent):
                break
            values.append(self._node(event, (*key, len(values))))
        return values

    def _scalar(self, event: Any) -> Any:
        text = event.value
        if event.style in ("'", '"', "|", ">"):
            return text
        return plain(text)

    def _fail(self, event: Any, sentence: str) -> None:
        raise self._error(f"{self._name}:{event.start_mark.line + 1}:{event.start_mark.column + 1}: {sentence}")


# A word inside brackets that ends where it stops; everything less plain is left to the scanner.
_FLOW_WORD = re.compile(r"[A-Za-z0-9_.+/-]+(?=[],}]|: )")


@cache
def _scanner() -> type:
    """Return ruamel's scanner with two short cuts for what nets and profiles are full of; its tokens stay the same."""
    from ruamel.yaml.scanner import Scanner
    from ruamel.yaml.tokens import ScalarToken

    class QuickScanner(Scanner):
        """A scanner that answers a repeated question once, and takes plain words in one step, not by character."""

        _enough: tuple[int, int] | None = None

        def check_token(self, *choices: type) -> bool:
            # The answer changes only when tokens are taken or added; the parser asks up to six times in between.
            if self._enough != (self.tokens_taken, len(self.tokens)):
                while self.need_more_tokens():
                    self.fetch_more_tokens()
                self._enough = (self.tokens_taken, len(self.tokens))
            return bool(self.tokens) and (not choices or isinstance(self.tokens[0], choices))

        def scan_plain(self) -> Any:
            reader = self.reader
            found = _FLOW_WORD.match(reader.buffer, reader.pointer) if self.flow_level else None
            if found is None:
                return super().scan_plain()
            start = reader.get_mark()
            length = found.end() - found.start()
            reader.pointer += length
            reader.index += length
            reader.column += length
            self.allow_simple_key = False
            return ScalarToken(found.group(), True, start, reader.get_mark())

    return QuickScanner


_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_SPECIAL = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# Longer runs of digits are no count of anything, and slow to turn into an exact integer.
MAX_INT_DIGITS = 100


def plain(text: str) -> Any:
    """Return an unquoted scalar as YAML 1.2's core schema reads it: true, false, null, a number, or a word."""
    lowered = text.lower()
    if lowered in _WORDS and text in (lowered, lowered.capitalize(), lowered.upper()):
        return _WORDS[lowered]
    if text[0] not in "+-.0123456789":
        return text
    if lowered in _SPECIAL:
        return _SPECIAL[lowered]
    if len(text) <= MAX_INT_DIGITS and _INT.fullmatch(text):
        return int(text, 10 if text[:2] not in ("0o", "0x") else 0)
    return float(text) if _FLOAT.fullmatch(text) else text
