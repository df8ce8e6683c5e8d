"""Spark-TTS as a ModelScope studio or a Modelers space: the page on port 7860, on the best voice that can be had.

The folder that holds this file, or one above it, holds `sparktts_ms` and `cli` (see README.md beside it).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = next((folder for folder in (HERE, *HERE.parents) if (folder / "sparktts_ms").is_dir()), HERE)
sys.path.insert(0, str(ROOT))

RELEASED, DEMONSTRATION = ROOT / "pretrained_models" / "Spark-TTS-0.5B", ROOT / "pretrained_models" / "Spark-TTS-demo"
NOTE = {
    RELEASED: "Voice: **Spark-TTS-0.5B**, the released weights (CC BY-NC-SA 4.0).",
    DEMONSTRATION: "**Demonstration voice.** The released weights could not be fetched here. This small model reads English "
                   "only, and far less well than they do. · "
                   "**演示声音**：这里无法下载发布的权重；这个小模型只会英语，效果也差得多。",
}


def model() -> Path:
    """The released weights if they are here or can be fetched, else the demonstration voice. SPARKTTS_MODEL_DIR decides
    otherwise; SPARKTTS_SOURCE names the hub (modelscope, huggingface, or modelers with SPARKTTS_MODEL_ID)."""
    from sparktts_ms.errors import ModelError, SparkTTSError
    from sparktts_ms.weights.hub import download, open_hub

    if chosen := os.environ.get("SPARKTTS_MODEL_DIR"):
        return Path(chosen)
    try:
        source = os.environ.get("SPARKTTS_SOURCE", "modelscope")
        return download(open_hub(source, os.environ.get("SPARKTTS_MODEL_ID")), RELEASED)
    except SparkTTSError as problem:
        print(f"The released weights cannot be had: {problem}", file=sys.stderr)
    if not DEMONSTRATION.is_dir():
        raise ModelError(f"There is no demonstration voice in {DEMONSTRATION} either; set SPARKTTS_MODEL_DIR to a model.")
    return DEMONSTRATION


def main() -> None:
    from cli.webui import serve
    from sparktts_ms import Service, SparkTTS
    from sparktts_ms.errors import DeviceError
    from sparktts_ms.web.app import Settings

    folder = model()
    try:
        tts = SparkTTS.from_pretrained(folder, device_target="Ascend")
    except DeviceError:
        tts = SparkTTS.from_pretrained(folder, device_target="CPU", quantize="int8")
    # A space is public and shown inside its hub's page: strangers keep no voices for each other, and any site may ask.
    settings = Settings(server_name="0.0.0.0", server_port=int(os.environ.get("PORT", 7860)), voices=None, origins=("*",),
                        note=NOTE.get(folder, f"Voice: **{folder.name}**"), example=HERE / "prompt.wav",
                        transcript=(HERE / "prompt.txt").read_text(encoding="utf-8").strip())
    with Service(tts) as service:
        serve(service, settings)


if __name__ == "__main__":
    from cli.common import run_command

    sys.exit(run_command(main, interrupted="The space has ended."))
