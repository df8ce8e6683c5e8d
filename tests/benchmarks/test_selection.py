"""Which tasks `--only` chooses, and with which engines."""

import pytest

from benchmarks.plan import COMMAND, INT4, INT8, LOADING, OURS, Task, task_groups
from benchmarks.selection import SelectionError, select
from benchmarks.targets import targets

REV = "c47a299"
GROUPS = task_groups(True, REV)


def chosen(*names, against=REV):
    return select(names, task_groups(True, against), targets(against), against)


def tasks(selection):
    return {task.name for group in GROUPS for task in group if selection.has(task)}


def test_without_names_everything():
    selection = chosen()
    assert tasks(selection) == {task.name for group in GROUPS for task in group}
    assert selection.has(LOADING, INT8) and selection.has(COMMAND, f"{REV} int8")


def test_the_beginning_of_a_name():
    selection = chosen("decode 400")
    assert tasks(selection) == {f"decode 400 {n} 20" for n in (1, 2, 4, 8, 16)}
    assert not selection.has(LOADING)
    assert set(OURS) <= selection.engines(GROUPS)


def test_of_a_target_only_what_it_compares():
    selection = chosen("token, int4 / c47a299")
    assert tasks(selection) == {"decode 400 1 20"}
    assert selection.engines(GROUPS) == {INT4, f"{REV} int8"}


def test_several_names():
    assert tasks(chosen("encode", "first audio")) == {"encode", "first_audio 250"}


def test_an_unknown_name_is_an_error_with_all_names():
    with pytest.raises(SelectionError, match=r"'decod'.*Tasks: encode, prefill 400.*Targets: tok"):
        chosen("decod")


def test_without_another_revision_nothing_of_it():
    engines = chosen(against=None).engines(task_groups(True, None))
    assert set(OURS) <= engines and not any(REV in engine for engine in engines)


def test_names_that_other_tools_read():
    names = {task.name for group in task_groups(True) for task in group}
    assert {"encode", "prefill 400", "sample 200", "wave 50", "wave 250", "decode 500 1 20",
            "decode 3000 1 20", *(f"decode 400 {n} 20" for n in (1, 2, 4, 8, 16))} <= names
    for group in task_groups(True):
        for task in group:
            assert isinstance(task, Task) and INT8 in task.engines
