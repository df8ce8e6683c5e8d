"""Token families as id ranges, read and checked from tokenizer.json; and text as text.

Between prompt and codec there are only integers. User text is encoded by a tokenizer without added tokens, so a name such
as <|end_content|> inside it is spelled out, never obeyed. Source: upstream `utils/token_parser.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from sparktts_ms.errors import InputError, ModelError

TOKENS_PER_SECOND = 50      # of speech, as semantic tokens


@dataclass(frozen=True)
class TokenRange:
    """Consecutive ids that stand for the numbers 0 .. count - 1 of one family."""

    first: int
    count: int

    def __contains__(self, token_id: int) -> bool:
        return self.first <= token_id < self.first + self.count

    def __getitem__(self, number: int) -> int:
        if not 0 <= number < self.count:
            raise IndexError(f"{number} is not in 0..{self.count - 1}")
        return self.first + int(number)

    def ids(self) -> range:
        return range(self.first, self.first + self.count)

    def values(self, token_ids: Iterable[int]) -> np.ndarray:
        """The numbers that those of `token_ids` which are in this family stand for, in order."""
        return np.array([t - self.first for t in token_ids if t in self], np.int32)


class Vocabulary:
    """The tokenizer of a model directory. Families are attributes: `vocabulary.bicodec_semantic` is a TokenRange,
    `vocabulary.start_content` an id."""

    bicodec_global: TokenRange
    bicodec_semantic: TokenRange
    pitch_value: TokenRange
    speed_value: TokenRange
    pitch_label: TokenRange
    speed_label: TokenRange
    gender: TokenRange
    task_tts: int
    task_controllable_tts: int
    start_content: int
    end_content: int
    start_style_label: int
    end_style_label: int
    start_acoustic_token: int
    end_acoustic_token: int
    start_global_token: int
    end_global_token: int
    start_semantic_token: int
    end_semantic_token: int

    def __init__(self, path: Path, end: int, size: int):
        """`path` is tokenizer.json, `end` the id that ends an utterance, `size` the rows of the embedding."""
        self.end = end
        description = _read(path)
        added = {token["content"]: token["id"] for token in description["added_tokens"]}
        for family in self.families():
            setattr(self, family, _family(path, added, family))
        for mark in self.marks():
            if f"<|{mark}|>" not in added:
                raise ModelError(f"{path} lacks the token <|{mark}|>; it is not the tokenizer of a Spark-TTS model.")
            setattr(self, mark, added[f"<|{mark}|>"])
        if max(added.values()) >= size or not 0 <= end < size:
            raise ModelError(f"{path} has ids beyond the model's {size}; tokenizer and LLM do not belong together.")
        description["added_tokens"] = []
        try:
            self.plain = Tokenizer.from_str(json.dumps(description))
        except Exception as problem:        # the library raises bare Exception
            raise ModelError(f"{path} is no usable tokenizer: {problem}") from None

    @classmethod
    def families(cls) -> list[str]:
        """Names of the numbered families, as in <|gender_0|>."""
        return [name for name, kind in cls.__annotations__.items() if kind == "TokenRange"]

    @classmethod
    def marks(cls) -> list[str]:
        """Names of the single tokens, as in <|start_content|>."""
        return [name for name, kind in cls.__annotations__.items() if kind == "int"]

    def encode(self, text: str) -> list[int]:
        """Ids of plain text. Raises InputError for text that is no valid Unicode."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise InputError("The text is not valid Unicode; save it as UTF-8.") from None
        return self.plain.encode(text).ids

    def speakable(self) -> np.ndarray:
        """Every id that an utterance is made of: Spark's ranges and marks, and the end. Speech and what ends it come
        first, because those are computed together at almost every step."""
        ids = dict.fromkeys([*self.bicodec_semantic.ids(), self.end_semantic_token, self.end])
        for family in self.families():
            ids.update(dict.fromkeys(getattr(self, family).ids()))
        ids.update(dict.fromkeys(getattr(self, mark) for mark in self.marks()))
        return np.array(list(ids), np.int64)


def _read(path: Path) -> dict:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(t["content"], str) and isinstance(t["id"], int) for t in description["added_tokens"]):
            raise ValueError("malformed added_tokens")
    except FileNotFoundError:
        raise ModelError(f"{path} is missing. `python -m cli.download` fetches a whole model directory.") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise ModelError(f"{path} cannot be read as a tokenizer: {problem}") from None
    return description


def _family(path: Path, added: dict[str, int], family: str) -> TokenRange:
    pattern = re.compile(rf"<\|{family}_(\d+)\|>")
    numbered = sorted((int(match[1]), token_id) for name, token_id in added.items() if (match := pattern.fullmatch(name)))
    if not numbered:
        raise ModelError(f"{path} lacks the tokens <|{family}_0|> ...; it is not the tokenizer of a Spark-TTS model.")
    first = numbered[0][1]
    if any(number != n or token_id != first + n for n, (number, token_id) in enumerate(numbered)):
        raise ModelError(f"{path}: the tokens <|{family}_...|> are not consecutive.")
    return TokenRange(first, len(numbered))
