"""Progress: the estimate comes from bytes, and does not count what was done before."""

import pytest

from sparktts_ms.batch.progress import Progress


def read_line(progress, position):
    progress.note_read(100, position)


def test_time_left_is_that_of_the_bytes_that_are_left():
    now = [50.0]
    progress = Progress(10_000, lambda: now[0])
    assert progress.seconds_left is None and progress.total_lines is None
    for n in range(1, 31):
        read_line(progress, 100 * n)
    progress.note_started()
    now[0] += 20.0
    for _ in range(20):
        progress.note_done(100, 3.0)
    assert progress.share == pytest.approx(0.2)         # 10 of 30 are not done yet
    assert progress.seconds_left == pytest.approx(80.0)
    assert progress.speed == pytest.approx(3.0)
    assert progress.total_lines == 100


def test_lines_that_were_done_before_do_not_make_the_rest_faster():
    now = [0.0]
    progress = Progress(10_000, lambda: now[0])
    for n in range(1, 51):
        read_line(progress, 100 * n)
        progress.note_skipped(100, failed=n > 48)
    assert (progress.done_before, progress.failed_before) == (48, 2)
    assert progress.share == pytest.approx(0.5) and progress.seconds_left is None
    progress.note_started()
    read_line(progress, 5100)
    now[0] += 2.0
    progress.note_done(100, None)
    assert progress.failed == 1 and progress.seconds == 0.0
    assert progress.seconds_left == pytest.approx(2.0 * 49)


def test_a_pipe_has_no_estimate():
    progress = Progress(None)
    progress.note_started()
    read_line(progress, 100)
    progress.note_done(100, 1.0)
    assert progress.share is None and progress.seconds_left is None and progress.total_lines is None
