"""Which tasks are measured, with which engines: `--only NAME ...`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.plan import (
    CLONE_MEMORY,
    COMMAND,
    COMMAND_MEMORY,
    INT4,
    INT8,
    LIMITS,
    LOADING,
    OURS,
    QUALITY,
    Task,
    int8_of,
)
from benchmarks.targets import Target


class SelectionError(Exception):
    """A name that no task and no target has."""


class Selection:
    """chosen: name of a task -> the engines that measure it; those of a task that is not chosen
    measure nothing."""

    def __init__(self, chosen: dict[str, set[str]]):
        self.chosen = chosen

    def has(self, task: Task, engine: str | None = None) -> bool:
        """Whether `engine` (None: any) measures the task."""
        engines = self.chosen.get(task.name, set())
        return bool(engines) if engine is None else engine in engines

    def engines(self, groups: Iterable[list[Task]]) -> set[str]:
        """Those that measure a task of the groups."""
        names: set[str] = set()
        for group in groups:
            for task in group:
                names |= self.chosen.get(task.name, set())
        return names


def everything(groups: Iterable[list[Task]], against: str | None) -> dict[str, set[str]]:
    """All tasks with all their engines."""
    older_int8 = set() if against is None else {int8_of(against)}
    chosen = {task.name: set(task.engines) for group in groups for task in group}
    chosen[LOADING.name] = set(OURS) | older_int8
    chosen[CLONE_MEMORY.name] = set(OURS)
    chosen[COMMAND_MEMORY.name] = set(OURS)
    chosen[COMMAND.name] = {INT8, INT4} | older_int8
    chosen[QUALITY.name] = set(OURS)
    chosen[LIMITS.name] = set(OURS)
    return chosen


def select(names: Sequence[str], groups: Sequence[list[Task]], targets: Sequence[Target],
           against: str | None) -> Selection:
    """What `names` name: a task by its name or the beginning of it ("decode", "decode 400 1"), or a
    target by a part of its name ("first audio"), of which only what it compares is measured.
    Without names: everything. Raises SelectionError."""
    tasks = everything(groups, against)
    if not names:
        return Selection(tasks)
    chosen: dict[str, set[str]] = {}
    for name in names:
        found = {task: engines for task, engines in tasks.items()
                 if task == name or task.startswith(f"{name} ")}
        if not found:
            for target in targets:
                if name in target.name:
                    found.setdefault(target.task, set()).update(target.engines)
        if not found:
            raise SelectionError(
                f"--only {name!r}: no task and no target is called so. Tasks: {', '.join(tasks)}. "
                f"Targets: {'; '.join(target.name for target in targets)}.")
        for task, engines in found.items():
            chosen.setdefault(task, set()).update(engines)
    return Selection(chosen)
