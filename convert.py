"""Make model.safetensors of wav2vec2's pytorch_model.bin: `python convert.py --pt_filename DIR/pytorch_model.bin`."""

import argparse
import sys
from functools import partial

from tqdm import tqdm

from sparktts_ms.errors import SparkTTSError
from sparktts_ms.weights.convert import convert


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    options = argparse.ArgumentParser(prog="python convert.py", description=__doc__)
    options.add_argument("--pt_filename", required=True, help="the file that torch.save made, in either of its formats")
    options.add_argument("--sf_filename", help="the file to write (default: model.safetensors beside it)")
    options.add_argument("--config_path", help="what to check it against (default: config.json beside it)")
    options.add_argument("--overwrite", action="store_true", help="replace a file that is there already")
    return options


def main(argv: list[str] | None = None) -> int:
    """Run the command; the last line on stdout is the path written. 0, 2 after an error, 130 after Ctrl-C."""
    args = parser().parse_args(argv)
    bar = partial(tqdm, desc="converting", unit="tensor", disable=None)     # None: only on a terminal
    try:
        written = convert(args.pt_filename, args.sf_filename, args.config_path, args.overwrite, bar)
    except SparkTTSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return 130
    print(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
