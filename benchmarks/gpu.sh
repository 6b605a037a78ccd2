#!/usr/bin/env bash
# Measure everything that needs a GPU, in one command of under ten minutes, without network or root:
#
#     benchmarks/gpu.sh [RESULT.json] [--small] [--minutes M]
#
# It writes one JSON (by default benchmarks/results/gpu.json), anew after every figure, so that whatever ends it
# early, what was measured is kept; a part that fails or takes too long leaves its traceback and the end of its
# log there, and costs no other. The same command again measures what failed or is missing there, on the same
# kind of GPU; delete the file to measure all anew. First all that is needed is imported and one convolution is
# computed; then come the ceilings of the device, quadzoo's training replayed as a graph and not, at 100 x 100
# pixels, the default bench, the tutorial's loop, one seed twice, images that do not fit the GPU, how long each
# kind of kernels takes to start, launches and kernels of a step, TF32 against bf16, --compile with both curves,
# four runs one by one and at the same time, and benchmarks/matrix.py in the minutes left. Exit status 1 says
# that some part failed. --small does the same at a tiny size, on any device, to test the script. quadzoo's
# requirements must be installed; quadzoo itself need not be. PYTHON names the interpreter.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/gpu.py" "$@"
