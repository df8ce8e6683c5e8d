"""Lets one text normalizer read texts, in the environment where it is installed.

python normalizer_worker.py NAME reads [[language, text], ...] as JSON from standard input and
writes {"version": ..., "said": [...]} to standard output. It imports nothing of this project.
"""

import json
import os
import sys
from importlib.metadata import version


def load_wetext(language):
    from wetext import Normalizer

    return Normalizer(lang=language, operator="tn").normalize


def load_wetextprocessing(language):
    if language == "zh":
        from tn.chinese.normalizer import Normalizer
    else:
        from tn.english.normalizer import Normalizer
    return Normalizer().normalize


def load_nemo(language):
    from nemo_text_processing.text_normalization.normalize import Normalizer

    cache = os.path.join(sys.prefix, "grammars")            # they take a minute to compile
    return Normalizer(input_case="cased", lang=language, cache_dir=cache).normalize


LOADERS = {
    "wetext": load_wetext,
    "WeTextProcessing": load_wetextprocessing,
    "nemo_text_processing": load_nemo,
}


def main():
    name = sys.argv[1]
    questions = json.load(sys.stdin)
    normalize = {language: LOADERS[name](language) for language in ("zh", "en")}
    said = []
    for language, text in questions:
        try:
            said.append(normalize[language](text))
        except Exception as error:
            said.append(f"({error})")
    print(json.dumps({"version": version(name), "said": said}))


if __name__ == "__main__":
    main()
