"""Reading the settings of a model directory.

BiCodec's YAML is validated completely: an unknown key is an error, except those that only training
reads. The `config.json` files of Hugging Face gain keys with every release of transformers, so only
the keys that change the result are read there, and unsupported values are refused.
Source: SparkAudio/Spark-TTS `BiCodec/config.yaml`, `LLM/config.json`,
`wav2vec2-large-xlsr-53/config.json`.
"""

import dataclasses
import os
from operator import attrgetter
from pathlib import Path
from typing import Any

from sparktts_ms import config
from sparktts_ms.errors import ModelError, quoted
from sparktts_ms.files import read_mapping
from sparktts_ms.weights import formats

# Keys that only training reads, or that upstream itself ignores.
IGNORED_KEYS = {
    "quantizer": "commitment codebook_loss_weight threshold_ema_dead_code use_l2_normlize".split(),
    "config.yaml": "highpass_cutoff_freq segment_duration max_val_duration base_config".split(),
}
# Field of BiCodecConfig -> section of BiCodec/config.yaml and what it holds.
BICODEC_SECTIONS = {
    "mel": ("mel_params", config.MelConfig),
    "encoder": ("encoder", config.FeatureStackConfig),
    "decoder": ("decoder", config.WaveGeneratorConfig),
    "quantizer": ("quantizer", config.QuantizerConfig),
    "speaker_encoder": ("speaker_encoder", config.SpeakerEncoderConfig),
    "prenet": ("prenet", config.FeatureStackConfig),
}
# Sizes and rates that must be equal where two parts meet.
INTERFACES = (
    ("wav2vec2.hidden_size", "bicodec.encoder.input_channels"),
    ("bicodec.encoder.out_channels", "bicodec.quantizer.input_dim"),
    ("bicodec.quantizer.input_dim", "bicodec.prenet.input_channels"),
    ("bicodec.prenet.out_channels", "bicodec.decoder.input_channel"),
    ("bicodec.speaker_encoder.out_dim", "bicodec.decoder.input_channel"),
    ("bicodec.speaker_encoder.out_dim", "bicodec.prenet.condition_dim"),
    ("bicodec.speaker_encoder.input_dim", "bicodec.mel.num_mels"),
    ("bicodec.decoder.samples_per_token", "audio.latent_hop_length"),
    ("bicodec.mel.sample_rate", "audio.sample_rate"),
)
TYPE_NAMES = {
    "int": "whole number", "float": "number", "bool": "true or false",
    "tuple[int, ...]": "list of whole numbers"}
# Smallest and largest value of a number, or of each in a list. Larger ones would take memory and
# time before any weight shows that they are wrong.
LIMITS = {
    "eos_token_id": (0, 1 << 24), "max_position_embeddings": (256, 1 << 31),
    "vocab_size": (1, 1 << 24), "num_hidden_layers": (1, 1000), "vocos_num_layers": (1, 1000),
    "n_fft": (2, 1 << 16), "num_mels": (1, 4096), "sample_rate": (8000, 192_000),
    "ref_segment_duration": (0.1, 60.0), "mel_fmin": (0.0, 96_000.0), "mel_fmax": (1.0, 96_000.0),
    "rms_norm_eps": (1e-12, 1.0), "layer_norm_eps": (1e-12, 1.0), "rope_theta": (1.0, 1e12),
    "rates": (1, 1000), "kernel_sizes": (1, 1000), "conv_stride": (1, 1000),
    "conv_kernel": (1, 1000), "fsq_levels": (2, 1000), "token_num": (1, 4096),
}
DEFAULT_LIMITS = (1, 1 << 20)
MAX_ITEMS = 64          # of a list
MODEL_PARTS = ("LLM", "BiCodec", "wav2vec2-large-xlsr-53")
LLM_ALONE_HINT = ("Copy the model directory that it was trained on, put the language model there "
                  "in place of LLM, and give that directory.")
SEARCH_DEPTH = 4        # levels below a folder in which a model directory is looked for
SEARCH_FOLDERS = 500


def read_config(model_dir: Path) -> config.ModelConfig:
    """Read every settings file of a model directory; ModelError names what is wrong."""
    check_layout(model_dir)
    audio = _read_audio(model_dir / "config.yaml", model_dir)
    languages = _languages(audio.pop("languages", None))
    model = config.ModelConfig(
        audio=_build(config.AudioConfig, audio, "config.yaml"),
        bicodec=_read_bicodec(model_dir / "BiCodec" / "config.yaml"),
        wav2vec2=_read_wav2vec2(model_dir / "wav2vec2-large-xlsr-53"),
        llm=_read_qwen2(model_dir / "LLM" / "config.json"),
        languages=languages,
    )
    for left, right in INTERFACES:
        values = (attrgetter(left)(model), attrgetter(right)(model))
        if values[0] != values[1]:
            raise ModelError("The model directory contradicts itself: "
                             f"{left} is {quoted(values[0])}, but {right} is "
                             f"{quoted(values[1])}.")
    return model


def check_layout(folder: Path) -> None:
    """Raise ModelError for a folder that is a part of a model directory, or holds one further
    down; it says which folder to give."""
    if _is_model_dir(folder):
        return
    real = Path(os.path.realpath(folder))
    for parent in list(real.parents)[:2]:
        if _is_model_dir(parent) and real.relative_to(parent).parts[0] in MODEL_PARTS:
            raise ModelError("{subject} is a part of a model directory.", f"Give {parent}.",
                             subject=folder, code="wrong_model_dir")
    found = _model_dirs_below(folder)
    if found:
        others = f" (or {len(found) - 1} others)" if len(found) > 1 else ""
        raise ModelError("{subject} holds a model directory further down.",
                         f"Give {found[0]}{others}.", subject=folder, code="wrong_model_dir")
    if (folder / "config.yaml").exists():
        return
    if (folder / "adapter_config.json").exists():
        raise ModelError(f"{{subject}} is {formats.ADAPTER.name}.", f"{formats.ADAPTER.remedy} "
                         f"{LLM_ALONE_HINT}", subject=folder, code="wrong_model_dir")
    if (folder / "config.json").exists():
        raise ModelError("{subject} is a language model alone.", LLM_ALONE_HINT, subject=folder,
                         code="wrong_model_dir")


def _is_model_dir(folder: Path) -> bool:
    return (folder / "LLM").is_dir() and (folder / "BiCodec").is_dir()


def _model_dirs_below(folder: Path) -> list[Path]:
    """Model directories some levels down, the main revision of a Hugging Face cache first."""
    level = [folder]
    visited = 0
    for _ in range(SEARCH_DEPTH):
        subfolders = []
        for parent in level:
            try:
                paths = sorted(path for path in parent.iterdir()
                               if not path.name.startswith(".") and path.is_dir())
            except OSError:
                continue
            subfolders += paths
            visited += len(paths)
            if visited > SEARCH_FOLDERS:
                return []
        found = [path for path in subfolders if _is_model_dir(path)]
        if found:
            return sorted(found, key=lambda path: not _is_main_revision(path))
        level = subfolders
    return []


def _is_main_revision(snapshot: Path) -> bool:
    """Whether models--OWNER--NAME/snapshots/COMMIT is what refs/main there names."""
    try:
        content = (snapshot.parent.parent / "refs" / "main").read_bytes()[:100]
    except OSError:
        return False
    return content.decode("ascii", "replace").strip() == snapshot.name


def _read_audio(file: Path, model_dir: Path, depth: int = 0) -> dict[str, Any]:
    """The values of config.yaml over those of the file that its base_config names."""
    values = read_mapping(file, folder=model_dir)
    base = values.get("base_config")
    if base is None:
        return values
    if depth > 8:
        raise ModelError("{subject}: base_config refers to itself.", subject=file)
    path = Path(os.path.normpath(file.parent / base)) if isinstance(base, str) else None
    if (path is None or not base.isprintable() or len(base) > 255 or Path(base).is_absolute()
            or not path.is_relative_to(os.path.normpath(model_dir))):
        raise ModelError(f"{{subject}}: base_config is {quoted(base)}; it must name a file in the "
                         "model directory.", subject=file)
    return {**_read_audio(path, model_dir, depth + 1), **values}


def _languages(codes: Any) -> tuple[str, ...] | None:
    """The languages that config.yaml states; a key of this project, which upstream ignores."""
    if codes is None:
        return None
    valid = isinstance(codes, list) and 0 < len(codes) <= MAX_ITEMS
    if not valid or not all(isinstance(c, str) and 0 < len(c) <= 8 for c in codes):
        raise ModelError(f"languages in config.yaml is {quoted(codes)}; it should be like "
                         "[en, zh].")
    return tuple(codes)


def _read_bicodec(file: Path) -> config.BiCodecConfig:
    sections = _section(file, read_mapping(file), "audio_tokenizer")
    parts = {}
    for field, (name, record) in BICODEC_SECTIONS.items():
        parts[field] = _build(record, _section(file, sections, name), name)
    return config.BiCodecConfig(**parts)


def _section(file: Path, values: dict[str, Any], name: str) -> dict[str, Any]:
    section = values.get(name)
    if not isinstance(section, dict):
        raise ModelError(f"{{subject}}: section {name} is missing.", subject=file)
    return section


def _read_wav2vec2(folder: Path) -> config.Wav2Vec2Config:
    file = folder / "config.json"
    values = read_mapping(file)
    _refuse_quantized(file, values)
    _require(file, values, model_type="wav2vec2", do_stable_layer_norm=True,
             feat_extract_norm="layer", conv_bias=True, feat_extract_activation="gelu",
             hidden_act="gelu")
    preprocessor, settings = _read_preprocessor(folder)
    _require(preprocessor, settings, do_normalize=True, sampling_rate=16000)
    return _build(config.Wav2Vec2Config, values, str(file), ignore_unknown=True)


def _read_preprocessor(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The feature extractor's settings; a processor of transformers 5 has them in its own file."""
    file = folder / "preprocessor_config.json"
    processor = folder / "processor_config.json"
    if not file.exists() and processor.exists():
        values = read_mapping(processor).get("feature_extractor")
        if isinstance(values, dict):
            return processor, values
    return file, read_mapping(file)


def _read_qwen2(file: Path) -> config.Qwen2Config:
    if not file.exists():
        kind = formats.identify_folder(file.parent)
        if kind:
            raise ModelError(f"{{subject}} holds {kind.name}.", kind.remedy, subject=file.parent)
    values = read_mapping(file)
    _refuse_quantized(file, values)
    _require(file, values, model_type="qwen2", hidden_act="silu", use_sliding_window=False)
    # transformers 5 nests rope_theta.
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    if not isinstance(rope, dict) or rope.get("rope_type", rope.get("type")) not in (
            None, "default"):
        raise ModelError(f"{{subject}}: rotary positions {quoted(rope)} are not supported.",
                         subject=file)
    values.setdefault("rope_theta", rope.get("rope_theta", 1e6))
    layer_types = values.get("layer_types")
    if isinstance(layer_types, list) and any(kind != "full_attention" for kind in layer_types):
        raise ModelError(f"{{subject}}: layer_types is {quoted(layer_types)}; only "
                         "'full_attention' is supported.", subject=file)
    values["eos_token_id"] = _eos_token(file, values)
    llm = _build(config.Qwen2Config, values, str(file), ignore_unknown=True)
    heads = llm.num_attention_heads
    if llm.hidden_size % heads or heads % llm.num_key_value_heads:
        problem = "hidden_size or num_attention_heads is no multiple of the number of heads."
        raise ModelError(f"{{subject}}: {problem}", subject=file)
    if llm.head_dim % 2:
        raise ModelError(f"{{subject}}: hidden_size / num_attention_heads is {llm.head_dim}; it "
                         "must be even.", subject=file)
    if values.get("head_dim") not in (None, llm.head_dim):
        problem = f"head_dim {quoted(values['head_dim'])} is not hidden_size / num_attention_heads."
        raise ModelError(f"{{subject}}: {problem}", subject=file)
    return llm


def _eos_token(file: Path, values: dict[str, Any]) -> Any:
    """The id that ends an utterance: the first of several; some tools leave it to
    generation_config.json."""
    value = values.get("eos_token_id")
    generation = file.with_name("generation_config.json")
    if value is None and generation.exists():
        value = read_mapping(generation).get("eos_token_id")
    if value is None:
        raise ModelError("Key 'eos_token_id' is missing in {subject}.", subject=file)
    return value[0] if isinstance(value, list) and value else value


def _refuse_quantized(file: Path, values: dict[str, Any]) -> None:
    """Raise ModelError for the configuration of quantized weights."""
    for key in ("quantization_config", "compression_config", "quantization"):
        settings = values.get(key)
        if not settings:
            continue
        tool = settings.get("quant_method") if isinstance(settings, dict) else None
        if key == "quantization":
            tool = "MLX"
        name = formats.QUANTIZERS.get(tool, quoted(tool)[1:-1]) if isinstance(tool, str) else key
        bits = ""
        if isinstance(settings, dict):
            bits = ", 4 bits" if settings.get("load_in_4bit") is True else ""
            if type(settings.get("bits")) is int:
                bits = f", {quoted(settings['bits'])} bits"
        raise ModelError(f"{{subject}}: the weights are quantized ({name}{bits}), which is not "
                         "supported.", formats.QUANTIZED, subject=file)


def _require(file: Path, values: dict[str, Any], **expected: Any) -> None:
    for key, value in expected.items():
        given = values.get(key, value)
        # 1 is not true, nor 16000.0 the whole number 16000.
        if type(given) is not type(value) or given != value:
            problem = f"{{subject}}: {key} is {quoted(given)}; only {value!r} is supported."
            raise ModelError(problem, subject=file)


def _build(record: type, values: dict[str, Any], source: str, ignore_unknown: bool = False):
    """Make `record` from a mapping; its annotations give the type of each value."""
    fields = {field.name: field for field in dataclasses.fields(record)}
    unknown = (values.keys() - fields.keys()).difference(IGNORED_KEYS.get(source, ()))
    if unknown and not ignore_unknown:
        known = ", ".join(sorted(fields))
        first = min(map(quoted, unknown))
        raise ModelError(f"Unknown key {first} in {source}; known are {known}.")
    arguments = {}
    for name, field in fields.items():
        if name in values:
            arguments[name] = _convert(values[name], str(field.type), source, name)
        elif field.default is dataclasses.MISSING:
            raise ModelError(f"Key {name!r} is missing in {source}.")
    return record(**arguments)


def _convert(value: Any, type_name: str, source: str, name: str) -> Any:
    """The value if it has the type and lies in the limits of the field `name`."""
    if value is None and "None" in type_name:
        return None
    type_name = type_name.split(" | ")[0]
    low, high = LIMITS.get(name, DEFAULT_LIMITS)
    number_types = {"int": (int,), "float": (int, float), "tuple[int, ...]": (int,), "bool": ()}
    is_list = type_name == "tuple[int, ...]"
    numbers = value if is_list and isinstance(value, list) else [value]
    if type_name == "bool" and isinstance(value, bool):
        return value
    if is_list != isinstance(value, list) or any(
            type(number) not in number_types[type_name] for number in numbers):
        raise ModelError(f"{name} in {source} is {quoted(value)}; it should be a "
                         f"{TYPE_NAMES[type_name]}.")
    if is_list and not 0 < len(numbers) <= MAX_ITEMS:
        raise ModelError(f"{name} in {source} has {len(numbers)} numbers; 1 to {MAX_ITEMS} are "
                         "possible.")
    if not all(low <= number <= high for number in numbers):        # NaN does not, either
        raise ModelError(f"{name} in {source} is {quoted(value)}; it must lie between {low} and "
                         f"{high}.")
    if is_list:
        return tuple(numbers)
    return float(value) if type_name == "float" else value
