"""Who computes the chunks of a sweep: this process, processes of its own, or any executor of ``concurrent.futures``."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import sys
import time
import types
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, ClassVar

from hwsim.errors import HwsimError
from hwsim.explore.grid import Block, Plan
from hwsim.explore.question import Question
from hwsim.explore.table import SweepTable

# Work of less than this is done before other processes have started.
WORTH_PROCESSES_S = 2.0
# Chunks that wait at each worker: enough that none waits for us, few enough that little is held.
AHEAD = 2

Chunk = tuple[int, int, int]  # number, first row, row after the last


def answers(
    question: Question,
    plan: Plan,
    chunks: Sequence[Chunk],
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Iterator[tuple[int, SweepTable]]:
    """Yield the number and the answer of each chunk, as they are finished; few are held at a time.

    Args:
        question: What is asked.
        plan: Which rows there are.
        chunks: Which of them.
        workers: Processes; None is as many as there are cores once the work is worth their start, 1 is this one.
        executor: Who does the work instead.

    Raises:
        HwsimError: As ``Question.answer``; or a worker died.
    """
    left = iter(chunks)
    if executor is None:
        start, done = time.monotonic(), 0
        for number, first, last in left:
            yield number, question.answer(plan.block(first, last))
            done += 1
            seconds = (time.monotonic() - start) / done * (len(chunks) - done)
            if workers != 1 and done < len(chunks) and (workers is not None or seconds > WORTH_PROCESSES_S):
                break
        if done == len(chunks):
            return
    count = workers or cores()
    with _kept(executor) if executor is not None else _processes(count) as pool:
        yield from _spread(pool, question, plan, left, AHEAD * _width(executor, count))


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _width(executor: Executor | None, count: int) -> int:
    """Return how many chunks an executor is thought to work on at once."""
    return count if executor is None else max(getattr(executor, "_max_workers", 0) or 0, 4)


def _spread(
    pool: Executor, question: Question, plan: Plan, chunks: Iterator[Chunk], ahead: int
) -> Iterator[tuple[int, SweepTable]]:
    packed = pickle.dumps(question, protocol=pickle.HIGHEST_PROTOCOL)
    key = hashlib.sha256(packed).hexdigest()
    waiting: dict[Future[Any], int] = {}

    def send() -> None:
        for number, first, last in chunks:
            waiting[pool.submit(_work, key, packed, plan.block(first, last))] = number
            if len(waiting) >= ahead:
                return

    try:
        send()
        while waiting:
            finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                number = waiting.pop(future)
                yield number, _result(future)
            send()
    finally:
        for future in waiting:
            future.cancel()


def _result(future: Future[Any]) -> SweepTable:
    try:
        kind, value = future.result()
    except BrokenProcessPool:
        raise HwsimError(
            "a worker process ended before its work was done (out of memory?); use fewer workers"
        ) from None
    if kind == "error":
        raise HwsimError(value)
    columns, info = value
    return SweepTable(columns, info)


_questions: dict[str, Question] = {}


def _work(key: str, packed: bytes, block: Block) -> tuple[str, Any]:
    """Answer a block in a worker; the question is unpacked once. What is wrong travels as a sentence."""
    if key not in _questions:
        _questions.clear()
        _questions[key] = pickle.loads(packed)  # noqa: S301  # from the process that asks, over its own channel
    try:
        table = _questions[key].answer(block)
    except HwsimError as error:
        return "error", str(error)
    return "answer", ({name: table.stored(name) for name in table.names}, table.columns)


@contextmanager
def _kept(executor: Executor) -> Iterator[Executor]:
    """Use an executor that belongs to somebody else."""
    yield executor


@contextmanager
def _processes(count: int) -> Iterator[Executor]:
    """Start processes, and end them, whatever they are at, when we leave."""
    context = _Context()
    before = len(_Process.started)
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_quiet)
    try:
        yield pool
    except BaseException:
        # Let go of what is under way: nobody waits for it.
        for process in _Process.started[before:]:
            process.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        del _Process.started[before:]


def _quiet() -> None:
    """Leave Ctrl-C to the process that asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Process(SpawnProcess):
    """A spawned process that does not run the user's script again: it needs nothing of it."""

    started: ClassVar[list[_Process]] = []

    def start(self) -> None:
        """Start, and be known."""
        self.started.append(self)
        super().start()

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  # the name multiprocessing calls it by
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


class _Context(SpawnContext):
    """Starts such processes."""

    Process = _Process
