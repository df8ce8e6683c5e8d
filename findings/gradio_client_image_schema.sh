#!/usr/bin/env bash
# Claim: a Gradio 6 application in which any function returns an image cannot be reached by
# gradio_client 1.5.4 at all, not even to call another function: its constructor raises TypeError
# (argument of type 'bool' is not iterable), because the schema of the image has
# `additionalProperties: true`, where that client expects a schema. Version 1.8.0 connects.
# Expected: an image has an effect on the calls that use it only, or the error names the versions.
# Seen with gradio 6.17.3, gradio_client 1.5.4 and 1.8.0, Python 3.11, 2026-11-28. Fails if that
# changes.
set -euo pipefail
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$folder"' EXIT
for environment in server old new; do
    "${PYTHON:-python3}" -m venv "$folder/$environment"
done
"$folder/server/bin/pip" install --quiet gradio==6.17.3 2>/dev/null
"$folder/old/bin/pip" install --quiet gradio_client==1.5.4 "huggingface_hub<1" 2>/dev/null
"$folder/new/bin/pip" install --quiet gradio_client==1.8.0 "huggingface_hub<1" 2>/dev/null
cat > "$folder/app.py" <<'PYTHON'
import time

import gradio as gr

with gr.Blocks() as app:
    image = gr.Image()
    name = gr.Textbox()
    greeting = gr.Textbox()
    name.submit(lambda name: f"Hello {name}", name, greeting, api_name="greet")
    gr.Button().click(lambda: None, None, image, api_name="draw")
_, url, _ = app.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
print(url, flush=True)
time.sleep(600)
PYTHON
cat > "$folder/call.py" <<'PYTHON'
import sys

from gradio_client import Client

try:
    print(Client(sys.argv[1], verbose=False).predict("world", api_name="/greet"))
except TypeError as error:
    print(f"TypeError: {error}")
PYTHON
export GRADIO_ANALYTICS_ENABLED=False TMPDIR="$folder"
"$folder/server/bin/python" "$folder/app.py" > "$folder/url" 2>/dev/null &
server=$!
for _ in $(seq 120); do
    test -s "$folder/url" && break
    sleep 0.5
done
url=$(head -n 1 "$folder/url")
old=$("$folder/old/bin/python" "$folder/call.py" "$url" 2>/dev/null)
new=$("$folder/new/bin/python" "$folder/call.py" "$url" 2>/dev/null)
echo "gradio_client 1.5.4: $old"
echo "gradio_client 1.8.0: $new"
test "$old" = "TypeError: argument of type 'bool' is not iterable" && test "$new" = "Hello world" || {
    echo "The behaviour has changed."
    exit 1
}
