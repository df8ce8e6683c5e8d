"""Token families as id ranges, read from tokenizer.json, and plain text as ids.

Text is encoded without added tokens, so that a token's name in it, such as <|end_content|>, is
spelled out and has no effect. Source: upstream `utils/token_parser.py`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from sparktts_ms.config import BiCodecConfig
from sparktts_ms.errors import InputError, ModelError, one_line, quoted
from sparktts_ms.files import MISSING_HINT, decode, read_file, reading

TOKENS_PER_SECOND = 50      # semantic ids in a second of speech
MAX_TOKENIZER_BYTES = 32 << 20      # the released one has 14 MB

_read_ahead: dict[Path, Future] = {}


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
        ahead = _read_ahead.pop(path, None)
        added_tokens, self.plain = read_tokenizer(path) if ahead is None else ahead.result()
        try:
            added = {token["content"]: token["id"] for token in added_tokens}
        except (KeyError, TypeError):
            raise _wrong_tokenizer(path, "its added_tokens are malformed") from None
        if not all(type(name) is str and type(token_id) is int for name, token_id in added.items()):
            raise _wrong_tokenizer(path, "its added_tokens are malformed")
        self.path = path
        self.size = size
        self.end = end
        for name, kind in Vocabulary.__annotations__.items():
            if kind == "TokenRange":
                setattr(self, name, _family(path, added, name))
            elif f"<|{name}|>" in added:
                setattr(self, name, added[f"<|{name}|>"])
            else:
                raise _wrong_tokenizer(path, f"it lacks <|{name}|>")
        used = [end, min(added.values()), max(added.values()), self.plain.get_vocab_size() - 1]
        self._check_ids(used)

    def check_codec(self, codec: BiCodecConfig) -> None:
        """Raise ModelError unless the families of speech have as many ids as the codec."""
        counts = (self.bicodec_semantic.count, self.bicodec_global.count)
        sizes = (codec.quantizer.codebook_size, codec.speaker_encoder.codebook_size)
        if counts != sizes:
            raise ModelError(f"The tokenizer has {counts} semantic and global ids, the codec "
                             f"{quoted(sizes)}; LLM and BiCodec do not belong together.")

    def encode(self, text: str) -> list[int]:
        """Ids of plain text. Raises InputError for text that is not valid Unicode, ModelError for
        a tokenizer that has other ids than the language model."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise InputError("The text is not valid Unicode.", "Save it as UTF-8.",
                             code="not_unicode") from None
        ids = self.plain.encode(text).ids
        self._check_ids(ids)
        return ids

    def _check_ids(self, ids: Iterable[int]) -> None:
        """Raise ModelError for ids without a row of the embedding."""
        if not all(0 <= token_id < self.size for token_id in ids):
            raise _wrong_tokenizer(self.path, "it has ids beyond the language model's "
                                              f"{self.size}")

    def utterance_ids(self) -> np.ndarray:
        """All ids that an utterance may hold [N]. Semantic ids and what ends them come first,
        because they are computed together at almost every step."""
        ids = [*self.bicodec_semantic.ids(), self.end_semantic_token, self.end]
        for name in Vocabulary.__annotations__:
            value = getattr(self, name)
            ids += value.ids() if isinstance(value, TokenRange) else [value]
        return np.array(list(dict.fromkeys(ids)), np.int64)


def read_ahead(path: Path) -> None:
    """Read a tokenizer in a thread, most of the time without Python's lock, until a Vocabulary of
    that path asks for it: for a program that imports MindSpore meanwhile."""
    future = _read_ahead[path] = Future()

    def read() -> None:
        try:
            future.set_result(read_tokenizer(path))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=read, daemon=True).start()


def read_tokenizer(path: Path) -> tuple[Any, Tokenizer]:
    """What a tokenizer.json has as added tokens, whatever it is, and the tokenizer without them.
    Raises ModelError."""
    if not path.exists() and path.with_name("vocab.json").exists():
        raise ModelError("{subject} is missing; vocab.json and merges.txt alone are not read.",
                         "transformers writes it: `AutoTokenizer.from_pretrained(folder)"
                         ".save_pretrained(folder)`.", subject=path)
    content = read_file(path, MAX_TOKENIZER_BYTES, ModelError, MISSING_HINT)
    with reading(path):
        text = decode(content)
        found = _find_value(text, "added_tokens")
    if found is None:
        raise _wrong_tokenizer(path, "its added_tokens are malformed")
    added_tokens, start, end = found
    try:
        plain = Tokenizer.from_str(f"{text[:start]}[]{text[end:]}")
    except BaseException as error:          # bare Exception, or a panic of Rust
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise _wrong_tokenizer(path, one_line(error)) from None
    if plain.get_added_tokens_decoder():
        raise _wrong_tokenizer(path, "it has added_tokens twice")
    return added_tokens, plain


def _find_value(text: str, name: str) -> tuple[Any, int, int] | None:
    """The value of a key of a JSON object, and where in its text it begins and ends; None without
    that key. What follows is not parsed, for in tokenizers it is long. Raises ValueError."""
    decoder = json.JSONDecoder()
    position = _after(text, 0, "{")
    while text[position:position + 1] != "}":
        key, position = decoder.raw_decode(text, position)
        start = _after(text, position, ":")
        value, end = decoder.raw_decode(text, start)
        if key == name:
            return value, start, end
        position = _after(text, end, ",")
    return None


def _after(text: str, position: int, sign: str) -> int:
    """Where the next value begins, after a sign that comes first. Raises ValueError."""
    match = re.compile(rf"[ \t\n\r]*{re.escape(sign)}[ \t\n\r]*").match(text, position)
    if match is None:
        raise json.JSONDecodeError(f"Expecting {sign!r}", text, position)
    return match.end()


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


def _wrong_tokenizer(path: Path, reason: str) -> ModelError:
    return ModelError(f"{{subject}} is not a Spark-TTS tokenizer: {reason}.", subject=path)
