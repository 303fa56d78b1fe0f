"""``search``: design points chosen by Optuna where a grid is too large; a generation is one call of the engine.

The sampler is made anew for each generation, from the seed and the number of trials that are done, and keeps nothing
between them but the study: a search that was stopped goes on as it would have.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.chip import Chip
from hwsim.errors import UsageError, did_you_mean
from hwsim.explore.choosing import Goals, Names
from hwsim.explore.design import Design
from hwsim.explore.expression import Expression, parse
from hwsim.explore.extras import need
from hwsim.explore.files import CSV, PARQUET, check_out
from hwsim.explore.grid import MAX_SAMPLES, Sampling
from hwsim.explore.listed import answer_at
from hwsim.explore.prepared import Sweep, prepare
from hwsim.explore.ranges import Span
from hwsim.explore.store import MANIFEST, Store
from hwsim.explore.table import SweepTable
from hwsim.explore.trials import Floats, Parameter, missed, objective_values, readable, worst_of
from hwsim.explore.words import Words
from hwsim.files import check_writable
from hwsim.graph import DType, Graph

SAMPLERS = ("auto", "tpe", "nsga2", "random")
TRIALS = 500
# Trials of a generation: TPE learns from each, NSGA-II breeds a population.
GENERATION = {"tpe": 20, "nsga2": 50, "random": 1000}
QUESTION = "hwsim"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Searched:
    """What a search found.

    Attributes:
        table: A row per trial, in the order of trials; those that break a constraint of the design have none.
        goals: What was wanted.
        condition: What rows had to satisfy.
        trials: Trials in all.
        points: Points of the grid; 0 where an axis is a span.
    """

    table: SweepTable
    goals: Goals
    condition: Expression | None
    trials: int
    points: int

    @property
    def distinct(self) -> SweepTable:
        """The rows of designs, each where it was tried first."""
        axes = [self.table.stored(axis.name) for axis in self.table.axes]
        columns = [np.asarray(axis.codes if isinstance(axis, Words) else axis, dtype=np.float64) for axis in axes]
        _, first = np.unique(np.stack(columns, axis=1), axis=0, return_index=True)
        return self.table.take(np.sort(first))


def search(
    net: Graph,
    chip: Chip,
    vary: Mapping[str, Any] | None = None,
    *,
    design: Design | Mapping[str, Any] | str | Path | None = None,
    minimize: Names = (),
    maximize: Names = (),
    where: str | None = None,
    trials: int = TRIALS,
    generation: int | None = None,
    sampler: str = "auto",
    seed: int = 0,
    study: str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    objective: str = "latency",
    batch: int = 1,
    dtype: DType | None = None,
    place: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> SweepTable:
    """Return the design points that a search tried; ``pareto`` and ``best`` choose from them as from any sweep.

    Args:
        net: The net.
        chip: The structure, and the value of every field that is not varied.
        vary: As in ``sweep``; spans (``a:b``, ``a:b:log``) are searched as they are.
        design: As in ``sweep``.
        minimize: Results to have little of; ``latency_ms`` if nothing is said.
        maximize: Results to have much of.
        where: A condition on results and axes, such as ``area_mm2 <= 2 and latency_ms < 10``.
        trials: How many points to try.
        generation: Points that are costed together, and that the search learns from together.
        sampler: ``tpe``, ``nsga2`` or ``random``; ``auto`` is TPE for one objective and NSGA-II for several.
        seed: Where the search starts from; the same one finds the same.
        study: A file that keeps the study, which optuna-dashboard opens: ``.db`` for SQLite, ``.log`` for a journal.
        out: A folder of chunks, or a ``.parquet`` or ``.csv`` file.
        resume: Go on with the study; more trials than it had are welcome.
        objective: As in ``evaluate``.
        batch: As in ``evaluate``.
        dtype: As in ``evaluate``.
        place: As in ``evaluate``.
        progress: Is told trials done and trials there are.

    Raises:
        HwsimError: Something of it is wrong.
        MissingExtraError: Optuna is not installed.
    """
    least = minimize or ("latency_ms" if not maximize else ())
    ready = prepare(
        net, chip, vary, design=design, sample=drawing(trials, seed),
        objective=objective, batch=batch, dtype=dtype, place=place,
    )  # fmt: skip
    one = Search(ready, Goals.of(least, maximize), where, trials, generation, sampler, seed)
    return one.run(study=_path(study), out=_path(out), resume=resume, progress=progress).table


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _count(name: str, count: int) -> int:
    if not 1 <= count <= MAX_SAMPLES:
        raise UsageError(f"{name} = {count:,}: must be from 1 to {MAX_SAMPLES:,}")
    return count


def drawing(trials: int, seed: int) -> Sampling:
    """Return what lets a sweep be made ready whose axes are spans; the search draws from them itself.

    Raises:
        UsageError: There are too few trials or too many, or the seed is negative.
    """
    if seed < 0:
        raise UsageError(f"seed = {seed}: must be >= 0")
    return Sampling("sobol", _count("trials", trials), seed)


@dataclass(frozen=True)
class Search:
    """A search that is ready to run; attributes as the arguments of ``search``."""

    ready: Sweep
    goals: Goals
    where: str | None
    trials: int
    generation: int | None
    sampler: str
    seed: int
    _optuna: Any = field(default_factory=lambda: need("optuna", "search", extra="opt"), repr=False)

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            hint = did_you_mean(self.sampler, SAMPLERS)
            raise UsageError(f"sampler = {self.sampler!r}: must be one of {', '.join(SAMPLERS)}{hint}")
        if not self.ready.question.axes:
            raise UsageError("a search needs something to vary, such as --vary sram.size_kib=32:1024:x2")
        empty = SweepTable({column.name: [] for column in self.ready.question.columns}, self.ready.question.columns)
        for name in (*self.goals.names, *(self.condition.names if self.condition else ())):
            empty.find(name)
        self.goals.columns(empty)
        _count("generation", self.together)

    @cached_property
    def condition(self) -> Expression | None:
        """The condition."""
        return parse(self.where) if self.where else None

    @cached_property
    def method(self) -> str:
        """The sampler in force."""
        if self.sampler != "auto":
            return self.sampler
        return "tpe" if len(self.goals.names) == 1 else "nsga2"

    @property
    def together(self) -> int:
        """Trials of a generation."""
        return GENERATION[self.method] if self.generation is None else self.generation

    @cached_property
    def parameters(self) -> list[Parameter]:
        """The axes as parameters."""
        return [Parameter.of(axis, self._optuna.distributions) for axis in self.ready.question.axes]

    @property
    def points(self) -> int:
        """Points of the grid; 0 where an axis is a span."""
        return prod(0 if isinstance(axis.values, Span) else axis.count for axis in self.ready.question.axes)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The whole question as JSON values, but for how many trials it is asked for."""
        told = {key: value for key, value in self.ready.manifest.items() if key not in ("rows", "chunk_rows", "sample")}
        asked = [list(self.goals.minimize), list(self.goals.maximize), self.where]
        found: dict[str, Any] = json.loads(
            json.dumps({**told, "search": [*asked, self.method, self.together, self.seed]}, default=str)
        )
        return found

    def run(
        self,
        *,
        study: Path | None = None,
        out: Path | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Searched:
        """Run the search, or what is left of it.

        Raises:
            HwsimError: Something cannot be written, or holds another search.
        """
        if resume and study is None:
            raise UsageError("--resume goes on with a study: name its file with --study")
        check_out(out)
        if out is not None and not resume and out.is_dir() and any(out.iterdir()):
            raise UsageError(f"--out {out}: holds files already; name a new folder, or go on with --resume")
        with self._quiet():
            kept = self._kept(study, resume) if study is not None else None
            live = self._live(kept)
            store = self._store(out, resume)
            tables = self._costed_before(live)
            worst = self._worst(tables)
            done = len(live.trials)
            self._write(store, tables, done)
            while done < self.trials:
                if progress is not None:
                    progress(done, self.trials)
                number = done // self.together
                count = min((number + 1) * self.together, self.trials) - done
                table, worst = self._generation(live, done, count, worst)
                if kept is not None:
                    kept.add_trials(live.trials[done:])
                # A generation that was cut off is made whole.
                tables[number:] = [SweepTable.joined([*tables[number:], table])]
                done += count
                self._write(store, tables, done)
            if progress is not None:
                progress(done, self.trials)
        table = SweepTable.joined(tables)
        table.metadata = {**self.ready.metadata, **self.manifest, "rows": done}
        if out is not None and out.suffix.lower() in (CSV, PARQUET):
            table.write(out)
        return Searched(table, self.goals, self.condition, done, self.points)

    def _generation(self, study: Any, first: int, count: int, worst: Floats) -> tuple[SweepTable, Floats]:
        """Ask for trials, cost them in one call, and tell."""
        study.sampler = self._sampler(first)
        distributions = {parameter.name: parameter.distribution for parameter in self.parameters}
        asked = [study.ask(distributions) for _ in range(count)]
        table = self._cost([trial.params for trial in asked], first)
        rows = {int(point) - first: row for row, point in enumerate(table["point"].tolist())}
        values = objective_values(table, self.goals)
        worst = worst_of(values, worst, self.goals)
        misses = missed(table, self.condition.clauses if self.condition is not None else ())
        for index, trial in enumerate(asked):
            for name, value in readable(self.parameters, trial.params).items():
                trial.set_user_attr(name, value)
            row = rows.get(index)
            told = values[row] if row is not None else np.full(len(worst), np.nan)
            for name, amounts in misses.items():
                trial.set_constraint(name, 1.0 if row is None else float(amounts[row]))
            if self.ready.question.rules.constraints:
                trial.set_constraint("constraints of the design", float(row is None))
            if row is not None and table["reason"][row]:
                trial.set_user_attr("reason", str(table["reason"][row]))
            study.tell(trial, np.where(np.isnan(told), np.nan_to_num(worst, nan=0.0), told).tolist())
        return table, worst

    def _cost(self, chosen: Sequence[Mapping[str, Any]], first: int) -> SweepTable:
        at = [parameter.at([one[parameter.name] for one in chosen]) for parameter in self.parameters]
        return answer_at(self.ready.question, at, first=first)

    def _costed_before(self, study: Any) -> list[SweepTable]:
        """Return the rows of the trials that a study has, generation by generation."""
        done = study.get_trials(deepcopy=False)
        starts = range(0, len(done), self.together)
        return [self._cost([one.params for one in done[start : start + self.together]], start) for start in starts]

    def _worst(self, tables: Sequence[SweepTable]) -> Floats:
        worst = np.full(len(self.goals.names), np.nan)
        for table in tables:
            worst = worst_of(objective_values(table, self.goals), worst, self.goals)
        return worst

    def _sampler(self, done: int) -> Any:
        samplers = self._optuna.samplers
        seed = int(np.random.SeedSequence([self.seed, done]).generate_state(1)[0])
        match self.method:
            case "tpe":
                return samplers.TPESampler(seed=seed, n_startup_trials=max(self.together, 10))
            case "nsga2":
                return samplers.NSGAIISampler(seed=seed, population_size=self.together)
            case _:
                return samplers.RandomSampler(seed=seed)

    def _asked(self) -> dict[str, Any]:
        """Return what a study is made with."""
        name = f"{next(iter(self.ready.question.nets))} on {self.ready.question.chip.name}"
        directions = ["minimize"] * len(self.goals.minimize) + ["maximize"] * len(self.goals.maximize)
        return {"study_name": name, "directions": directions}

    def _live(self, kept: Any) -> Any:
        """Return the study that is worked on, in memory, with the trials of the one that is kept.

        A file is written to once for each generation: Optuna would write several times for each trial, and wait for the
        disk each time.
        """
        study = self._optuna.create_study(**self._asked())
        if kept is not None:
            complete = self._optuna.trial.TrialState.COMPLETE
            study.add_trials(kept.get_trials(deepcopy=False, states=(complete,)))
        return study

    def _kept(self, path: Path, resume: bool) -> Any:
        """Return the study in a file.

        Raises:
            UsageError: The file holds another search, or this one and it is not to be resumed, or cannot be written.
        """
        check_writable(path)
        if path.exists() and not resume:
            raise UsageError(f"--study {path}: is there already; go on with --resume, or name another file")
        if not path.exists() and resume:
            raise UsageError(f"--study {path}: there is no such study to go on with; leave --resume out")
        try:
            study = self._optuna.create_study(**self._asked(), storage=self._storage(path), load_if_exists=resume)
            told = study.user_attrs.get(QUESTION)
        except UsageError:
            raise
        except Exception as error:  # whatever SQLite, a journal or Optuna says of a file that is none of theirs
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UsageError(f"--study {path}: cannot be used as a study: {first}") from None
        if told is None and not study.get_trials(deepcopy=False):
            study.set_user_attr(QUESTION, self.manifest)
            study.set_metric_names(list(self.goals.names))
        elif told != self.manifest:
            there = told if isinstance(told, dict) else {}
            different = next(key for key in self.manifest if there.get(key) != self.manifest[key])
            raise UsageError(f"--study {path}: holds another search (its {different} differs); name another file")
        return study

    def _storage(self, path: Path) -> Any:
        storages = self._optuna.storages
        if path.suffix.lower() in (".log", ".journal"):
            return storages.JournalStorage(storages.journal.JournalFileBackend(str(path)))
        if path.suffix.lower() in (".db", ".sqlite", ".sqlite3"):
            return storages.RDBStorage(f"sqlite:///{path}")
        raise UsageError(f"--study {path}: must be a .db (SQLite) or a .log (a journal)")

    def _store(self, out: Path | None, resume: bool) -> Store | None:
        """Return the folder of results, if it is to be one; of a search that goes on it is written anew.

        Raises:
            UsageError: It holds something else.
        """
        if out is None or out.suffix.lower() in (CSV, PARQUET):
            return None
        manifest = {**self.manifest, "rows": self.trials, "chunk_rows": self.together}
        mine = False
        if resume and (out / MANIFEST).exists():
            begun = Store.open(out).manifest
            mine = all(begun.get(key) == value for key, value in self.manifest.items())
        return Store.create(out, manifest, resume=False, force=mine, shared=False)

    def _write(self, store: Store | None, tables: Sequence[SweepTable], done: int) -> None:
        """Write the generations that a store lacks and that are whole."""
        for number, _, last in store.missing() if store is not None else ():
            if store is not None and last <= done:
                store.write(number, tables[number])

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        """Keep Optuna from telling of every trial, and of what it calls experimental."""
        logging = self._optuna.logging
        before = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.set_verbosity(before)
