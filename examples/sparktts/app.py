"""Spark-TTS as a ModelScope studio or a Modelers space: the page, on port 7860.

The folder of this file, or one above it, holds `sparktts_ms`, `webui` and `cli` (see README.md).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = next((folder for folder in (HERE, *HERE.parents) if (folder / "sparktts_ms").is_dir()), HERE)
sys.path.insert(0, str(ROOT))

RELEASED_MODEL = ROOT / "pretrained_models" / "Spark-TTS-0.5B"
DEMO_MODEL = ROOT / "pretrained_models" / "Spark-TTS-demo"
NOTES = {
    RELEASED_MODEL: "Model: **Spark-TTS-0.5B**, the released weights (CC BY-NC-SA 4.0).",
    DEMO_MODEL: "**Demonstration model.** The released weights could not be downloaded here. This "
                "small model reads English only, and far less well than they do. · "
                "**演示模型**：这里无法下载发布的权重；这个小模型只会英语，效果也差得多。",
}


def find_model() -> Path:
    """The released weights if they are here or can be downloaded, else the demonstration model.

    SPARKTTS_MODEL_DIR names another model, SPARKTTS_SOURCE the hub (modelscope, huggingface, or
    modelers with SPARKTTS_MODEL_ID).
    """
    from sparktts_ms.errors import ModelError, SparkTTSError
    from sparktts_ms.weights.hub import download, open_hub

    if model_dir := os.environ.get("SPARKTTS_MODEL_DIR"):
        return Path(model_dir)
    try:
        source = os.environ.get("SPARKTTS_SOURCE", "modelscope")
        hub = open_hub(source, os.environ.get("SPARKTTS_MODEL_ID"))
        return download(hub, RELEASED_MODEL)
    except SparkTTSError as error:
        print(f"The released weights are not available: {error}", file=sys.stderr)
    if not DEMO_MODEL.is_dir():
        raise ModelError("There is no demonstration model in {subject} either.",
                         "Set SPARKTTS_MODEL_DIR to a model directory.", subject=DEMO_MODEL)
    return DEMO_MODEL


def main() -> None:
    from cli.webui import serve
    from sparktts_ms import Service, SparkTTS
    from sparktts_ms.errors import DeviceError
    from webui.app import Settings

    model_dir = find_model()
    try:
        tts = SparkTTS.from_pretrained(model_dir, device_target="Ascend")
    except DeviceError:
        tts = SparkTTS.from_pretrained(model_dir, device_target="CPU", quantize="int4")
    # A space is public and embedded in its hub's page: sessions share no voices, and any site may
    # send requests.
    settings = Settings(
        server_name="0.0.0.0",
        server_port=int(os.environ.get("PORT", 7860)),
        voices=None,
        origins=("*",),
        note=NOTES.get(model_dir, f"Model: **{model_dir.name}**"),
        example=HERE / "prompt.wav",
    )
    with Service(tts) as service:
        serve(service, settings)


if __name__ == "__main__":
    from cli.common import run_command

    sys.exit(run_command(main, "The space has stopped."))
