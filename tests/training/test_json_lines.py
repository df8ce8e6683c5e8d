"""JSON Lines files that were cut short by a kill."""

from sparktts_ms.training.json_lines import append_json_line, read_json_lines


def test_cut_lines_are_skipped(tmp_path):
    path = tmp_path / "lines.jsonl"
    assert read_json_lines(path) == []
    append_json_line(path, {"a": 1})
    with path.open("a") as file:
        file.write('[2]\n{"b": ')
    append_json_line(path, {"c": "\u2028"})
    assert read_json_lines(path) == [{"a": 1}, {"c": "\u2028"}]
