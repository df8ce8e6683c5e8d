"""Windows of the wave generator."""

from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.bicodec.chunking import WINDOW_SIZES, plan_windows


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
