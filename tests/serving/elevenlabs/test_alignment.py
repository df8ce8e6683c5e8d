"""When characters are spoken."""

from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.serving.elevenlabs.alignment import align


@given(st.text(max_size=50), st.floats(0, 5), st.floats(0, 30))
def test_characters_fill_the_time(text, begin, duration):
    alignment = align(text, begin, begin + duration)
    fields = alignment.by_start()
    assert len(fields["chars"]) == len(text)
    assert all(length >= 0 for length in fields["charDurationsMs"])
    if text:
        assert fields["charStartTimesMs"][0] == round(1000 * begin)
        assert sum(fields["charDurationsMs"]) == alignment.times[-1] - alignment.times[0]
        assert abs(alignment.times[-1] - 1000 * (begin + duration)) <= 1
    seconds = alignment.in_seconds()
    assert seconds["character_end_times_seconds"][:-1] == (
        seconds["character_start_times_seconds"][1:])


def test_white_space_is_a_space_and_takes_little_time():
    fields = align("a\nb 天", 0.0, 1.0).by_start()
    assert fields["chars"] == ["a", " ", "b", " ", "天"]
    assert fields["charDurationsMs"][1] < fields["charDurationsMs"][0]
    assert fields["charDurationsMs"][4] > fields["charDurationsMs"][0]
