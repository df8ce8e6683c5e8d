"""A client that will be killed: python -m tools.server_soak.victim URL KEY <request.json

Sends the request twice, prints the status of a response, and reads slowly, in two threads.
"""

import sys
import threading
import time
import urllib.error
import urllib.request


def read_slowly(url: str, key: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, body, headers)
    try:
        with opener.open(request) as response:
            response.read(1)
            print(response.status, flush=True)
            while response.read(4096):
                time.sleep(0.2)
    except urllib.error.HTTPError as error:
        print(error.code, flush=True)


if __name__ == "__main__":
    line = sys.stdin.buffer.readline()
    for _ in range(2):
        threading.Thread(target=read_slowly, args=(*sys.argv[1:], line)).start()
