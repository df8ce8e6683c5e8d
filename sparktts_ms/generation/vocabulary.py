"""Token families as id ranges, read from tokenizer.json, and plain text as ids.

Text is encoded without added tokens, so that a token's name in it, such as <|end_content|>, is
spelled out and has no effect. Source: upstream `utils/token_parser.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from sparktts_ms.config import BiCodecConfig
from sparktts_ms.errors import InputError, ModelError, one_line, quoted
from sparktts_ms.files import read_mapping

TOKENS_PER_SECOND = 50      # semantic ids in a second of speech
MAX_TOKENIZER_BYTES = 32 << 20      # the released one has 14 MB


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
        """The numbers of those of `token_ids` that are in this family, in order; int32."""
        return np.array([t - self.first for t in token_ids if t in self], np.int32)


class Vocabulary:
    """The tokenizer of a model directory.

    Families are attributes: `vocabulary.bicodec_semantic` is the TokenRange of
    <|bicodec_semantic_0|>, ..., `vocabulary.start_content` the id of <|start_content|>.
    """

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
        """path: tokenizer.json. end: the id that ends an utterance. size: rows of the embedding.

        Raises ModelError for a file that is not the tokenizer of a Spark-TTS model.
        """
        if not path.exists() and path.with_name("vocab.json").exists():
            raise ModelError("{subject} is missing; vocab.json and merges.txt alone are not read.",
                             "transformers writes it: `AutoTokenizer.from_pretrained(folder)"
                             ".save_pretrained(folder)`.", subject=path)
        description = read_mapping(path, max_bytes=MAX_TOKENIZER_BYTES)
        try:
            added = {token["content"]: token["id"] for token in description["added_tokens"]}
        except (KeyError, TypeError):
            raise _wrong_tokenizer(path, "its added_tokens are malformed") from None
        if not all(type(name) is str and type(token_id) is int for name, token_id in added.items()):
            raise _wrong_tokenizer(path, "its added_tokens are malformed")
        self.end = end
        for name, kind in Vocabulary.__annotations__.items():
            if kind == "TokenRange":
                setattr(self, name, _family(path, added, name))
            elif f"<|{name}|>" in added:
                setattr(self, name, added[f"<|{name}|>"])
            else:
                raise _wrong_tokenizer(path, f"it lacks <|{name}|>")
        used = [end, min(added.values()), max(added.values()), *_vocabulary_ids(description)]
        if not all(0 <= token_id < size for token_id in used):
            raise _wrong_tokenizer(path, f"it has ids beyond the language model's {size}")
        description["added_tokens"] = []
        try:
            self.plain = Tokenizer.from_str(json.dumps(description))
        except BaseException as error:          # bare Exception, or a panic of Rust
            if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
                raise
            raise _wrong_tokenizer(path, one_line(error)) from None

    def check_codec(self, codec: BiCodecConfig) -> None:
        """Raise ModelError unless the families of speech have as many ids as the codec."""
        counts = (self.bicodec_semantic.count, self.bicodec_global.count)
        sizes = (codec.quantizer.codebook_size, codec.speaker_encoder.codebook_size)
        if counts != sizes:
            raise ModelError(f"The tokenizer has {counts} semantic and global ids, the codec "
                             f"{quoted(sizes)}; LLM and BiCodec do not belong together.")

    def encode(self, text: str) -> list[int]:
        """Ids of plain text. Raises InputError for text that is not valid Unicode."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise InputError("The text is not valid Unicode.", "Save it as UTF-8.",
                             code="not_unicode") from None
        return self.plain.encode(text).ids

    def utterance_ids(self) -> np.ndarray:
        """All ids that an utterance may hold [N]. Semantic ids and what ends them come first,
        because they are computed together at almost every step."""
        ids = [*self.bicodec_semantic.ids(), self.end_semantic_token, self.end]
        for name in Vocabulary.__annotations__:
            value = getattr(self, name)
            ids += value.ids() if isinstance(value, TokenRange) else [value]
        return np.array(list(dict.fromkeys(ids)), np.int64)


def _family(path: Path, added: dict[str, int], name: str) -> TokenRange:
    pattern = re.compile(rf"<\|{name}_([0-9]{{1,9}})\|>")
    numbered = []
    for token, token_id in added.items():
        if match := pattern.fullmatch(str(token)):
            numbered.append((int(match[1]), token_id))
    numbered.sort()
    first = numbered[0][1] if numbered else 0
    if not numbered or numbered != [(n, first + n) for n in range(len(numbered))]:
        raise _wrong_tokenizer(path, f"<|{name}_0|> ... are missing or not consecutive")
    return TokenRange(first, len(numbered))


def _vocabulary_ids(description: dict) -> list[int]:
    """The largest id of the vocabulary without added tokens, if it has the usual form."""
    model = description.get("model")
    table = model.get("vocab") if isinstance(model, dict) else None
    ids = table.values() if isinstance(table, dict) else ()
    return [max((value for value in ids if type(value) is int), default=0)]


def _wrong_tokenizer(path: Path, reason: str) -> ModelError:
    return ModelError(f"{{subject}} is not a Spark-TTS tokenizer: {reason}.", subject=path)
