#!/usr/bin/env bash
# Claim: where a token of Ray is in the home folder (ray.init() and `ray get-auth-token --generate`
# write one), `ray start --head` starts a cluster that asks for it, and `serve status` and
# `serve deploy` in the same shell are refused: they do not look for that token unless RAY_AUTH_MODE
# says so. With RAY_AUTH_MODE=token they work.
# Expected: the commands of one package agree, in one shell, on whether a token is used.
# Seen with ray[serve] 2.60.0, Python 3.11, 2026-11-28. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
stop() {
    [ -z "${cluster:-}" ] || kill -TERM -- "-$cluster" 2>/dev/null || true
    sleep 3
    pkill -KILL -f "$folder/" 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "ray[serve]==2.60.0" 2>/dev/null
export HOME=$folder RAY_USAGE_STATS_ENABLED=0 PATH=$folder/env/bin:$PATH
unset RAY_AUTH_MODE RAY_AUTH_TOKEN
port() {
    python -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
}
gcs=$(port)
dashboard=$(port)
ray get-auth-token --generate >"$folder/token.log" 2>&1
setsid ray start --head --block --port "$gcs" --dashboard-port "$dashboard" --num-cpus 1 \
    --temp-dir "$folder/r" >"$folder/start.log" 2>&1 &
cluster=$!
ask() { serve status --address "http://127.0.0.1:$dashboard" 2>&1; }
for _ in $(seq 60); do
    if RAY_AUTH_MODE=token ask >"$folder/with.log"; then break; fi
    sleep 2
done
RAY_AUTH_MODE=token ask >"$folder/with.log" || {
    cat "$folder/start.log"
    exit 1
}
echo "with RAY_AUTH_MODE=token: accepted"
if ask >"$folder/without.log"; then
    echo "without: accepted. The behaviour has changed."
    exit 1
fi
grep -q "Authentication required" "$folder/without.log"
reason=$(grep -o "RAY_AUTH_MODE is currently[^.]*" "$folder/without.log" | head -1)
echo "without: refused: $reason"
