"""In how many bits each matrix of the language model is stored."""

from typing import Literal

Matrix = Literal["qkv", "o", "gate_up", "down", "head"]


def stored_dtype(dtype: str, matrix: Matrix, layer: int = 0) -> str:
    """The data type of a layer's matrix, or of the head, in a model of `dtype`.

    With int4, the matrices whose errors count most for their size keep 8 bits: those of the first
    layer, whose errors pass through all others, the queries, keys and values, and the head. That is
    27 MB of 228 a token at the released size; 377 MB with int8. Mean KL divergence of the next
    id's distribution from float32's, in nats, with 4 bits without calibration in these only:

                        all     qkv     o       gate_up  down    first layer
        released size   0.0264  0.0075  0.0023  0.0048   0.0124  0.0117
        demo            0.0138  0.0049  0.0017  0.0050   0.0027  0.0037

    The first row is of generated weights, the second of speech.
    """
    if dtype == "int4" and (layer == 0 or matrix in ("qkv", "head")):
        return "int8"
    return dtype
