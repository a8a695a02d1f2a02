#!/bin/sh
# Makes the virtual environment $VENV with the tested set of packages. Needs Python 3.11 or later, and nothing else.
set -eu
: "${PYTHON:=python3}" "${VENV:=.venv}" "${EXTRAS:=dev}"
CPU_TORCH=https://download.pytorch.org/whl/cpu

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "corpusmill needs Python 3.11 or later; $PYTHON is $("$PYTHON" --version). Name another: make setup PYTHON=python3.12" >&2
    exit 1
}
"$PYTHON" -m venv "$VENV"
pip() { "$VENV/bin/python" -m pip --disable-pip-version-check "$@"; }
# uv installs the same set in a third of pip's time, but does not read pip's settings: whoever has an index of their own there keeps pip.
has_uv() { ! pip config list | grep -q index-url && pip install -q uv==0.13.9 2>/dev/null; }
uv() { "$VENV/bin/uv" pip install -q --compile-bytecode --python "$VENV/bin/python" -c constraints.txt "$@"; }

# On Linux the torch of PyPI brings CUDA, some gigabytes of it. Without a GPU the CPU build does, where it can be reached.
if [ "$(uname -s)" = Linux ] && [ ! -e /dev/nvidia0 ] && ! command -v nvidia-smi >/dev/null 2>&1; then
    pip install -q --timeout 15 --retries 0 -c constraints.txt --index-url "$CPU_TORCH" torch 2>/dev/null ||
        echo "setup: no CPU build of torch at $CPU_TORCH; taking the default one"
fi
echo "setup: installing the tested set of packages (constraints.txt) into $VENV"
{ has_uv && uv -e ".[$EXTRAS]"; } || pip install -q --prefer-binary -c constraints.txt -e ".[$EXTRAS]"
