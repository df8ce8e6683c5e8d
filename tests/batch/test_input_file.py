"""The lines of an input: numbers, sizes, bounds."""

import io

import pytest

from sparktts_ms.batch.input_file import MAX_LINE_BYTES, InputFile, open_input
from sparktts_ms.errors import InputError


class Counting(io.BytesIO):
    """Keeps how much it was asked for at a time."""

    most = 0

    def readline(self, size=-1):
        line = super().readline(size)
        self.most = max(self.most, len(line))
        assert size > 0
        return line


@pytest.mark.parametrize("content, expected", [
    (b"", []),
    (b"a\nb\n", [(1, 2, b"a"), (2, 2, b"b")]),
    (b"a\r\n\n  \nb", [(1, 3, b"a"), (4, 1, b"b")]),
    (b"\xef\xbb\xbfa\n", [(1, 5, b"a")]),
    (b"x" * MAX_LINE_BYTES + b"\nb\n", [(1, MAX_LINE_BYTES + 1, b"x" * MAX_LINE_BYTES),
                                        (2, 2, b"b")]),
    (b"x" * (MAX_LINE_BYTES + 1), [(1, MAX_LINE_BYTES + 1, None)]),
])
def test_lines(content, expected):
    source = InputFile("name", io.BytesIO(content), len(content), None)
    assert [(line.number, line.size, line.content) for line in source.lines()] == expected
    assert source.position == len(content)


def test_a_line_of_100_mb_is_not_kept():
    file = Counting(b"x" * (100 << 20) + b"\nb\n")
    source = InputFile("name", file, None, None)
    first, second = source.lines()
    assert first.content is None and first.size == (100 << 20) + 1
    assert (second.number, second.content) == (2, b"b")
    assert file.most <= MAX_LINE_BYTES + 1


def test_what_cannot_be_read_is_named(tmp_path):
    for name in ("none.jsonl", ".", "a\0b"):
        with pytest.raises(InputError, match="cannot be read"), open_input(str(tmp_path / name)):
            pass
