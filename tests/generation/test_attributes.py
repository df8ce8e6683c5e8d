"""Labels and values of pitch and speed."""

from sparktts_ms.generation.attributes import (
    PITCH_THRESHOLDS,
    SPEED_THRESHOLDS,
    pitch_label,
    pitch_value,
    speed_label,
    speed_value,
)

TEXTS = {"en": "English words", "zh": "今天天气很好"}


def test_pitch_labels_change_at_the_thresholds():
    for gender, thresholds in PITCH_THRESHOLDS.items():
        for n, threshold in enumerate(thresholds):
            assert pitch_label(threshold - 0.05, gender) == n
            assert pitch_label(threshold + 0.05, gender) == n + 1


def test_speed_labels_change_at_the_thresholds():
    for language, text in TEXTS.items():
        for n, threshold in enumerate(SPEED_THRESHOLDS[language]):
            assert speed_label(threshold - 0.001, text) == n
            assert speed_label(threshold + 0.001, text) == n + 1


def test_values_are_integers_of_the_vocabulary():
    assert [pitch_value(hertz) for hertz in (0, 700, 1e9)] == [0, 781, 1000]    # 781: 2595 log10 2
    assert [speed_value(rate) for rate in (0, 4.99, 99)] == [0, 4, 10]
