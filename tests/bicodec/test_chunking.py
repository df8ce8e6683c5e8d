"""Windows of the wave generator."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sparktts_ms.bicodec.chunking import WINDOW_SIZES, Window, cover, plan_windows
from tests.helpers import examples


@given(frames=st.integers(1, 4000), context=st.integers(0, 20))
def test_windows_cover_an_utterance_once_with_context(frames, context):
    covered = 0
    for window in plan_windows(frames, context):
        assert window.size in WINDOW_SIZES
        assert window.valid_start == covered < window.valid_end
        assert 0 <= window.start <= max(0, window.valid_start - context)
        end = window.start + window.size
        assert window.valid_end == frames or end >= window.valid_end + context
        covered = window.valid_end
    assert covered == frames


@settings(max_examples=examples(300))
@given(st.data())
def test_windows_of_compiled_lengths_cover_the_frames_with_their_context(data):
    known = data.draw(st.integers(1, 300), "known")
    context = data.draw(st.integers(0, 12), "context")
    start = data.draw(st.integers(0, known - 1), "start")
    end = data.draw(st.integers(start + 1, known), "end")
    lengths = tuple(sorted(data.draw(st.sets(st.integers(1, 130), max_size=5), "lengths")))
    windows = cover(start, end, known, context, lengths)
    assert len(windows) <= 2
    position = start
    for window in windows:
        assert window.start >= 0 and window.start + window.size <= known
        assert window.valid_start == position < window.valid_end
        position = window.valid_end
        assert window.size in lengths or (len(windows) == 1 and window.size == end - start)
    assert position == end


def test_small_remainders_take_a_compiled_length():
    assert cover(0, 16, 16, 10, (16, 28)) == [Window(0, 16, 0, 16)]
    assert cover(100, 140, 140, 10, (16, 28, 56)) == [Window(84, 56, 100, 140)]
    assert cover(0, 40, 60, 10, (16, 56)) == [Window(0, 56, 0, 40)]
    assert cover(0, 60, 60, 10, (16, 56)) == [Window(0, 56, 0, 46), Window(4, 56, 46, 60)]
    assert cover(0, 60, 60, 10, ()) == [Window(0, 60, 0, 60)]
