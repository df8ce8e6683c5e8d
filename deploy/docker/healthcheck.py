"""Whether the server in this container is alive and takes requests: status 0, or 1 with one line.

The address is the argument, by default that of `cli.serve`. Needs the standard library only: it
runs every half minute.
"""

import sys
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

PATHS = ("/health/live", "/health/ready")
SECONDS = 5.0


def main(arguments: list[str]) -> int:
    address = arguments[0] if arguments else "http://127.0.0.1:8000"
    for path in PATHS:
        try:
            with urlopen(address + path, timeout=SECONDS):
                pass
        except HTTPError as error:
            print(f"{path}: {error.code} {error.read(100).decode(errors='replace').strip()}")
            return 1
        except (URLError, OSError) as error:
            print(f"{path}: {getattr(error, 'reason', error)}")
            return 1
    print("OK")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
