"""Model folders as transformers, peft and PyTorch write them, with what torch computes of them.

.venv-checkpoints/bin/python tests/weights/writers/write_checkpoints.py MODEL_DIR OUT

MODEL_DIR: a small model directory. OUT/NAME/LLM is a language model, OUT/NAME/wav2vec2 an encoder;
OUT/expected.npz has the logits or features of each. `make test-checkpoints` runs this.
"""

import json
import shutil
import sys
from pathlib import Path

import gguf
import numpy as np
import peft
import safetensors.torch
import torch
import transformers
from torch.nn.utils import parametrizations

TOKENS = [3, 60, 7, 41, 200, 12, 99, 5]


class Writer:
    def __init__(self, model_dir: Path, out: Path):
        self.model_dir = model_dir
        self.out = out
        self.expected: dict[str, np.ndarray] = {}

    def fresh(self, **config) -> transformers.Qwen2ForCausalLM:
        """The language model in float32."""
        return transformers.Qwen2ForCausalLM.from_pretrained(
            self.model_dir / "LLM", dtype=torch.float32, attn_implementation="eager", **config)

    def folder(self, name: str, part: str = "LLM") -> Path:
        folder = self.out / name / part
        folder.mkdir(parents=True)
        return folder

    def keep_logits(self, name: str, model: torch.nn.Module) -> None:
        """What the model computes of TOKENS, [8, V]."""
        with torch.no_grad():
            logits = model.float().eval()(input_ids=torch.tensor([TOKENS])).logits[0]
        self.expected[name] = logits.numpy()

    def save(self, name: str, model: torch.nn.Module, **options) -> None:
        folder = self.folder(name)
        model.save_pretrained(folder, **options)
        # Loaded again, because `to(torch.bfloat16)` rounds the rotary frequencies for good.
        loaded = transformers.Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.keep_logits(name, loaded)

    def save_bin(self, name: str, state: dict, **options) -> None:
        """`state` as pytorch_model.bin beside the config of the model directory."""
        folder = self.folder(name)
        shutil.copy(self.model_dir / "LLM" / "config.json", folder)
        torch.save(state, folder / "pytorch_model.bin", **options)


def write_plain(w: Writer) -> None:
    w.save("plain", w.fresh())
    w.save("sharded", w.fresh(), max_shard_size="100KB")
    bfloat16 = w.fresh().to(torch.bfloat16)
    w.save("bfloat16", bfloat16)
    w.save("float16 shards", w.fresh().to(torch.float16), max_shard_size="60KB")
    bare = w.fresh()
    w.folder("bare")
    bare.model.save_pretrained(w.out / "bare" / "LLM")
    w.keep_logits("bare", bare)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(w.model_dir / "LLM" / "tokenizer.json"))
    tokenizer.save_pretrained(w.out / "plain" / "LLM")


def write_heads(w: Writer) -> None:
    equal = w.fresh()
    equal.config.tie_word_embeddings = False
    equal.lm_head.weight = torch.nn.Parameter(equal.model.embed_tokens.weight.detach().clone())
    w.save("untied equal", equal)
    different = w.fresh()
    different.config.tie_word_embeddings = False
    noise = torch.randn(different.lm_head.weight.shape, generator=torch.Generator().manual_seed(1))
    head = different.model.embed_tokens.weight.detach() + 0.1 * noise
    different.lm_head.weight = torch.nn.Parameter(head)
    w.save("untied different", different)
    folder = w.out / "tied different" / "LLM"
    shutil.copytree(w.out / "untied different" / "LLM", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    loaded = transformers.Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    w.keep_logits("tied different", loaded)


def write_bins(w: Writer) -> None:
    model = w.fresh()
    state = model.state_dict()
    w.save_bin("zip", state)
    w.save_bin("legacy", state, _use_new_zipfile_serialization=False)
    w.save_bin("compiled", torch.compile(w.fresh()).state_dict())
    w.save_bin("data parallel", torch.nn.DataParallel(w.fresh()).state_dict())
    w.save_bin("wrapped", {"model": state, "epoch": 3})
    w.save_bin("lightning", {"state_dict": {f"llm.{k}": v for k, v in state.items()}, "epoch": 1})
    w.save_bin("parameters", {k: torch.nn.Parameter(v) for k, v in state.items()})
    for name in ("zip", "legacy", "compiled", "data parallel", "wrapped", "lightning",
                 "parameters"):
        w.keep_logits(name, model)
    w.save_bin("module", model)         # the whole module, which is refused
    frequencies = {"model.rotary_emb.inv_freq": model.model.rotary_emb.inv_freq,
                   "model.layers.0.self_attn.rotary_emb.inv_freq": model.model.rotary_emb.inv_freq}
    w.save_bin("frequencies", {**state, **frequencies})
    w.keep_logits("frequencies", model)
    float8 = w.fresh()
    folder = w.folder("float8")
    shutil.copy(w.model_dir / "LLM" / "config.json", folder)
    stored = {}
    for key, value in float8.state_dict().items():
        if key != "lm_head.weight":
            stored[key] = value.to(torch.float8_e4m3fn) if value.ndim == 2 else value.clone()
    safetensors.torch.save_file(stored, folder / "model.safetensors", {"format": "pt"})
    torch.save(stored, w.folder("float8 bin") / "pytorch_model.bin")
    shutil.copy(w.model_dir / "LLM" / "config.json", w.out / "float8 bin" / "LLM")
    float8.load_state_dict({k: v.float() for k, v in stored.items()}, strict=False)
    float8.tie_weights()
    w.keep_logits("float8", float8)
    w.keep_logits("float8 bin", float8)


def write_peft(w: Writer) -> None:
    torch.manual_seed(2)
    settings = peft.LoraConfig(r=2, lora_alpha=8, init_lora_weights=False,
                               target_modules=["q_proj", "v_proj", "down_proj"])
    model = peft.get_peft_model(w.fresh(), settings)
    model.save_pretrained(w.folder("adapter"))
    w.save_bin("unmerged", model.state_dict())
    w.save_bin("unmerged named", {k: v for k, v in model.base_model.model.state_dict().items()})
    merged = model.merge_and_unload()
    w.save("merged", merged)
    w.save_bin("peft prefix", {f"base_model.model.{k}": v for k, v in merged.state_dict().items()})
    w.keep_logits("peft prefix", merged)
    # unsloth's save_pretrained_merged(save_method="merged_16bit"), as its documentation describes.
    half = merged.to(torch.bfloat16)
    half.config.update({"unsloth_fixed": True, "unsloth_version": "2025.8.9", "pad_token_id": 0})
    w.save("unsloth", half, max_shard_size="100KB")
    (w.out / "unsloth" / "LLM" / "README.md").write_text("---\ntags: [unsloth]\n---\n")
    torch.manual_seed(3)
    trained_head = peft.get_peft_model(w.fresh(), peft.LoraConfig(
        r=2, target_modules=["q_proj"], modules_to_save=["lm_head"]))
    trained_head.save_pretrained(w.folder("adapter with head"))


def write_trainer(w: Writer) -> None:
    torch.manual_seed(4)
    model = w.fresh()
    example = {"input_ids": TOKENS, "labels": TOKENS}
    arguments = transformers.TrainingArguments(
        output_dir=str(w.out / "trainer run"), max_steps=2, save_steps=1, report_to=[],
        learning_rate=1e-3, use_cpu=True, per_device_train_batch_size=1, disable_tqdm=True)
    trainer = transformers.Trainer(model, arguments, train_dataset=[example, example])
    trainer.train()
    shutil.copytree(w.out / "trainer run" / "checkpoint-2", w.out / "trainer" / "LLM")
    w.keep_logits("trainer", model)
    shutil.copytree(w.out / "trainer run", w.out / "trainer folder" / "LLM")
    shutil.rmtree(w.out / "trainer run")


def write_wav2vec2(w: Writer) -> None:
    source = w.model_dir / "wav2vec2-large-xlsr-53"
    samples = torch.randn(1, 4000, generator=torch.Generator().manual_seed(5))
    np.save(w.out / "samples.npy", samples[0].numpy())
    samples = (samples - samples.mean()) / torch.sqrt(samples.var(correction=0) + 1e-7)
    for name, kind in (("encoder bare", transformers.Wav2Vec2Model),
                       ("encoder", transformers.Wav2Vec2ForPreTraining)):
        model = kind.from_pretrained(source, attn_implementation="eager").eval()
        folder = w.folder(name, "wav2vec2")
        model.save_pretrained(folder)
        extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(source)
        extractor.save_pretrained(folder)
        base = getattr(model, "wav2vec2", model)
        with torch.no_grad():
            hidden = base(samples, output_hidden_states=True).hidden_states
        w.expected[name] = ((hidden[11] + hidden[14] + hidden[16]) / 3)[0].numpy()
        binary = w.folder(f"{name} bin", "wav2vec2")
        torch.save(model.state_dict(), binary / "pytorch_model.bin")    # the new weight norm
        w.expected[f"{name} bin"] = w.expected[name]


def write_weight_norm(w: Writer) -> None:
    """A convolution with PyTorch's new weight norm, and the weight that it computes."""
    torch.manual_seed(6)
    state = {}
    convolutions = {"conv": torch.nn.Conv1d(3, 5, 7), "up": torch.nn.ConvTranspose1d(4, 6, 3)}
    for name, conv in convolutions.items():
        normed = parametrizations.weight_norm(conv)
        with torch.no_grad():
            normed.parametrizations.weight.original0.mul_(1.5)
        state.update({f"{name}.{key}": value for key, value in normed.state_dict().items()})
        w.expected[f"weight norm {name}"] = normed.weight.detach().numpy()
    w.out.joinpath("weight norm").mkdir()
    safetensors.torch.save_file(state, w.out / "weight norm" / "model.safetensors")


def write_quantized(w: Writer) -> None:
    for bits in (4, 8):
        settings = transformers.BitsAndBytesConfig(load_in_4bit=bits == 4, load_in_8bit=bits == 8)
        model = transformers.Qwen2ForCausalLM.from_pretrained(
            w.model_dir / "LLM", quantization_config=settings, device_map="cpu")
        model.save_pretrained(w.folder(f"{bits} bits"))
    writer = gguf.GGUFWriter(w.folder("gguf") / "model-f16.gguf", "qwen2")
    writer.add_tensor("token_embd.weight", np.ones((4, 4), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    model_dir, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    writer = Writer(model_dir, out)
    for write in (write_plain, write_heads, write_bins, write_peft, write_trainer, write_wav2vec2,
                  write_weight_norm, write_quantized):
        write(writer)
    versions = {m.__name__: m.__version__ for m in (torch, transformers, peft)}
    (out / "versions.json").write_text(json.dumps(versions))
    np.savez(out / "expected.npz", **writer.expected)


if __name__ == "__main__":
    main()
