"""The table cases.tsv: every text is read as a person reads it aloud, and the table is sound."""

import re
from collections import Counter

import pytest

from sparktts_ms.text.normalize import normalize
from tests.helpers import ROOT
from tools.normalizer_report import CASES, KNOWN_FAILURES, canonical, is_right, read_cases

TABLE = read_cases()
KINDS = """score range season code telephone room hotline model year money number math unit
comparison roman date time shorthand decimal fraction percent ordinal version temperature address
duration unchanged""".split()
CHINESE_KINDS = "liang traditional event".split()
ENGLISH_KINDS = "pin adjective abbreviation".split()


def read_known() -> set[str]:
    lines = KNOWN_FAILURES.read_text(encoding="utf-8").splitlines()
    return {line for line in lines if not line.startswith("#")}


def label(case) -> str:
    return f"{case.kind}\t{case.text}".replace("\n", "\\n")


KNOWN = read_known()


def as_parameters():
    for case in TABLE:
        known = label(case) in KNOWN
        marks = [pytest.mark.xfail(reason="in known_failures.txt", strict=True)] if known else []
        yield pytest.param(case, id=f"{case.kind}: {case.text}", marks=marks)


@pytest.mark.parametrize("case", as_parameters())
def test_text_is_read_as_a_person_reads_it(case):
    said = normalize(case.text)
    assert is_right(case, said), f"{said!r}, but right is {case.readings[0]!r}"


def test_table_has_at_least_500_cases_and_both_languages():
    languages = Counter(case.kind.split("/")[0] for case in TABLE)
    assert len(TABLE) >= 500
    assert languages.keys() == {"zh", "en", "mixed"}
    assert min(languages["zh"], languages["en"]) >= 0.4 * len(TABLE)


def test_every_kind_has_cases():
    kinds = Counter(case.kind for case in TABLE)
    expected = {f"zh/{kind}" for kind in KINDS + CHINESE_KINDS}
    expected |= {f"en/{kind}" for kind in KINDS + ENGLISH_KINDS}
    assert kinds.keys() == expected | {"mixed/language"}
    assert min(kinds.values()) >= 8


def test_no_text_occurs_twice():
    texts = Counter(case.text for case in TABLE)
    assert [text for text, count in texts.items() if count > 1] == []


def test_readings_have_only_what_can_be_said():
    unspoken = re.compile(r"[0-9０-９%％$￥¥€£°℃µμΩ²³½¼¾≤≥≠≈±×÷√<>=+Ⅰ-Ⅻ]")
    readings = [reading for case in TABLE for reading in case.readings if reading != case.text]
    assert [reading for reading in readings if unspoken.search(reading)] == []
    assert [reading for reading in readings if reading != " ".join(reading.split())] == []


def test_readings_of_a_text_differ():
    for case in TABLE:
        forms = [canonical(reading) for reading in case.readings]
        assert len(set(forms)) == len(forms), case


def test_at_least_97_percent_are_read_right():
    assert len(KNOWN) <= 0.03 * len(TABLE)


def test_known_failures_are_cases_of_the_table():
    assert KNOWN - {label(case) for case in TABLE} == set()


def test_table_states_its_sources():
    head = CASES.read_text(encoding="utf-8").split("\n\n")[0]
    assert head.startswith("#")
    for source in ("GB/T 15835", "WeTextProcessing", "NeMo"):
        assert source in head


def test_examples_of_the_document_are_in_the_table():
    lines = (ROOT / "docs" / "text.md").read_text(encoding="utf-8").splitlines()
    cells = [cell.strip() for line in lines if line.startswith("| ") for cell in line.split("|")]
    examples = [cell.split(" → ") for cell in cells if " → " in cell]
    assert len(examples) > 50
    by_text = {case.text: case for case in TABLE}
    for text, reading in examples:
        assert is_right(by_text[text], reading), text
