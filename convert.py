"""Make model.safetensors of wav2vec2's pytorch_model.bin.

python convert.py --pt_filename DIR/pytorch_model.bin
"""

import argparse
import sys
from functools import partial

from tqdm import tqdm

from cli.common import Parser, run_command
from sparktts_ms.weights.convert import convert


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    options = Parser(prog="python convert.py", description=__doc__)
    options.add_argument("--pt_filename", required=True, metavar="FILE",
                         help="file of torch.save, in either of its formats")
    options.add_argument("--sf_filename", metavar="FILE",
                         help="file to write (default: model.safetensors beside it)")
    options.add_argument("--config_path", metavar="FILE",
                         help="accepted as in upstream; not needed, for the model is checked when "
                              "it is loaded")
    options.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return options


def main(argv: list[str] | None = None) -> int:
    """Run the command; the last line on stdout is the file. 0, 2 (error) or 130 (Ctrl-C)."""
    args = parser().parse_args(argv)
    progress = partial(tqdm, desc="converting", unit="tensor", disable=None)    # on a terminal

    def command() -> None:
        print(convert(args.pt_filename, args.sf_filename, args.overwrite, progress))

    return run_command(command, "Interrupted; nothing was written.")


if __name__ == "__main__":
    sys.exit(main())
