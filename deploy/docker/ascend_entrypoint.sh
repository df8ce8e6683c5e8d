#!/usr/bin/env bash
# CANN's environment and the host's driver, then the command that is given: cli.serve --host ...
set -eu

ascend=/usr/local/Ascend
toolkit="$ascend/ascend-toolkit/set_env.sh"
if [ -r "$toolkit" ]; then
    set +u                              # it reads variables that may not be set
    # shellcheck disable=SC1090
    . "$toolkit"
    set -u
else
    echo "warning: $toolkit cannot be read; is the image's base one with CANN?" >&2
fi
driver="$ascend/driver/lib64"
if [ ! -d "$driver" ]; then
    echo "warning: $driver is missing: mount the host's driver (see compose.yaml)." >&2
fi
export LD_LIBRARY_PATH="$driver:$driver/common:$driver/driver:${LD_LIBRARY_PATH:-}"

echo "CANN: ${ASCEND_HOME_PATH:-not found}; driver:" \
    "$(sed -n 's/^Version=//p' "$ascend/driver/version.info" 2>/dev/null || true)" >&2
exec python -m "$@"
