"""Processes of a sweep's own: each at the end of its own pipe, so that none holds up another, nor us when we leave."""

from __future__ import annotations

import pickle
import signal
import sys
import types
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from hwsim.errors import HwsimError
from hwsim.explore.grid import Plan
from hwsim.explore.question import Question
from hwsim.explore.table import SweepTable

# Chunks that a process has been given: the one it is at, and the one it goes on with while we take the answer.
AHEAD = 2

Chunk = tuple[int, int, int]  # number, first row, row after the last
Answer = tuple[str, Any]


def by_processes(
    question: Question, plan: Plan, chunks: Sequence[Chunk], count: int
) -> Iterator[tuple[int, SweepTable]]:
    """Yield the number and the answer of each chunk as they are finished by processes, which end when we leave.

    Neighbouring chunks have much in common, so each process goes through a run of its own, and then helps the others.

    Raises:
        HwsimError: As ``Question.answer``; or a process died.
    """
    packed = pickle.dumps((question, plan), protocol=pickle.HIGHEST_PROTOCOL)
    team = [_Member(packed) for _ in range(count)]
    runs = _runs(chunks, count)
    mine = {member: _own_first(runs, place) for place, member in enumerate(team)}
    try:
        for member in team:
            member.give(mine[member])
        while busy := {member.pipe: member for member in team if member.given}:
            for pipe in wait(list(busy)):
                member = busy[pipe]  # type: ignore[index]  # of what was waited for
                number, answer = member.take()
                member.give(mine[member])
                yield number, unpacked(answer)
    finally:
        for member in team:
            member.end()


def _runs(chunks: Sequence[Chunk], count: int) -> list[deque[Chunk]]:
    """Return chunks in so many runs of neighbours."""
    cuts = [len(chunks) * place // count for place in range(count + 1)]
    return [deque(chunks[start:stop]) for start, stop in pairwise(cuts)]


def _own_first(runs: Sequence[deque[Chunk]], place: int) -> Iterator[Chunk]:
    """Yield the chunks of a run from its start, then what is left of others, from the end of the longest."""
    while own := runs[place]:
        yield own.popleft()
    while longest := max(runs, key=len):
        yield longest.pop()


def packed_answer(question: Question, block: Any) -> Answer:
    """Answer a block; what is wrong travels as a sentence."""
    try:
        table = question.answer(block)
    except HwsimError as error:
        return "error", str(error)
    return "answer", ({name: table.stored(name) for name in table.names}, table.columns)


def unpacked(answer: Answer) -> SweepTable:
    """Return an answer that has travelled.

    Raises:
        HwsimError: It is a sentence.
    """
    kind, value = answer
    if kind == "error":
        raise HwsimError(value)
    columns, info = value
    return SweepTable(columns, info)


class _Member:
    """A process, and the chunks it has been given."""

    def __init__(self, packed: bytes) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self.given: deque[int] = deque()
        self._process = _Process(target=_serve, args=(theirs, packed), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, chunks: Iterator[Chunk]) -> None:
        """Hand out chunks while there are some."""
        while len(self.given) < AHEAD and (chunk := next(chunks, None)) is not None:
            self.given.append(chunk[0])
            try:
                self.pipe.send(chunk[1:])
            except OSError:
                raise HwsimError(_DIED) from None

    def take(self) -> tuple[int, Answer]:
        """Return the number and the answer of the chunk that was given first."""
        try:
            answer: Answer = self.pipe.recv()
        except (OSError, EOFError):
            raise HwsimError(_DIED) from None
        return self.given.popleft(), answer

    def end(self) -> None:
        """End the process, whatever it is at."""
        self.pipe.close()
        self._process.kill()
        self._process.join()


_DIED = "a worker process ended before its work was done (out of memory?); use fewer workers"


def _serve(pipe: Connection, packed: bytes) -> None:
    """Answer chunks until nobody asks any more; Ctrl-C is for who asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    question, plan = pickle.loads(packed)  # noqa: S301  # from the process that started us, over its own pipe
    try:
        while True:
            first, last = pipe.recv()
            pipe.send(packed_answer(question, plan.block(first, last)))
    except (OSError, EOFError):
        return


class _Process(SpawnProcess):
    """A spawned process that does not run the user's script again: it needs nothing of it."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  # the name multiprocessing calls it by
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


_CONTEXT = SpawnContext()
