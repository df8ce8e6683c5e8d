"""Make model.safetensors of wav2vec2's pytorch_model.bin.

python convert.py --pt_filename DIR/pytorch_model.bin
"""

import sys
from functools import partial

from tqdm import tqdm

from cli.common import Parser, run_command
from sparktts_ms.weights.convert import convert


def build_parser() -> Parser:
    parser = Parser(prog="python convert.py", description=__doc__)
    parser.add_argument("--pt_filename", required=True, metavar="FILE",
                        help="file of torch.save, in either of its formats")
    parser.add_argument("--sf_filename", metavar="FILE",
                        help="file to write (default: model.safetensors beside it)")
    parser.add_argument("--config_path", metavar="FILE",
                        help="accepted as in upstream; not needed, for the model is checked when "
                             "it is loaded")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; the last line on stdout is the file. 0, 2 (error) or 130 (Ctrl-C)."""
    args = build_parser().parse_args(argv)
    progress = partial(tqdm, desc="converting", unit="tensor", disable=None)    # on a terminal

    def command() -> None:
        print(convert(args.pt_filename, args.sf_filename, args.overwrite, progress))

    return run_command(command, "Interrupted; nothing was written.")


if __name__ == "__main__":
    sys.exit(main())
