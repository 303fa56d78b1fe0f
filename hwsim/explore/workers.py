"""Who computes the chunks of a sweep: this process, processes of its own, or any executor of ``concurrent.futures``."""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from typing import Any

from hwsim.errors import HwsimError
from hwsim.explore.grid import Block, Plan
from hwsim.explore.processes import Chunk, by_processes, packed_answer, unpacked
from hwsim.explore.question import Question
from hwsim.explore.table import SweepTable

# Work of less than this is done before other processes have started.
WORTH_PROCESSES_S = 2.0
# Chunks handed to an executor for each that it is thought to work on at once, and for how many if it does not say.
AHEAD, WIDTH = 2, 8


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
    if executor is not None:
        yield from _by_executor(executor, question, plan, left)
        return
    start = time.monotonic()
    for done, (number, first, last) in enumerate(left, start=1):
        yield number, question.answer(plan.block(first, last))
        seconds = (time.monotonic() - start) / done * (len(chunks) - done)
        if workers != 1 and done < len(chunks) and (workers is not None or seconds > WORTH_PROCESSES_S):
            break
    # What is left when the loop has gone through is nothing.
    if workers != 1 and (rest := list(left)):
        yield from by_processes(question, plan, rest, min(workers or cores(), len(rest)))


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _by_executor(
    executor: Executor, question: Question, plan: Plan, chunks: Iterator[Chunk]
) -> Iterator[tuple[int, SweepTable]]:
    packed = pickle.dumps(question, protocol=pickle.HIGHEST_PROTOCOL)
    key = hashlib.sha256(packed).hexdigest()
    ahead = AHEAD * (getattr(executor, "_max_workers", None) or WIDTH)
    waiting: dict[Future[Any], int] = {}
    try:
        while True:
            while len(waiting) < ahead and (chunk := next(chunks, None)) is not None:
                waiting[executor.submit(_work, key, packed, plan.block(*chunk[1:]))] = chunk[0]
            if not waiting:
                return
            finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                number = waiting.pop(future)
                yield number, unpacked(_result(future))
    finally:
        for future in waiting:
            future.cancel()


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except Exception as error:
        # Dask has its own exceptions for workers that die of a chunk again and again, and for a scheduler that is lost.
        if isinstance(error, BrokenExecutor) or type(error).__module__.startswith("distributed"):
            raise HwsimError(f"a worker ended before its work was done: {error}; go on with --resume") from None
        raise


_questions: dict[str, Question] = {}


def _work(key: str, packed: bytes, block: Block) -> tuple[str, Any]:
    """Answer a block in a worker of an executor; the question is unpacked once."""
    if key not in _questions:
        _questions.clear()
        _questions[key] = pickle.loads(packed)  # noqa: S301  # from the process that asks, over its own channel
    return packed_answer(_questions[key], block)
