#!/usr/bin/env bash
# All that is measured on a GPU, in one command of under nine minutes, without network or root:
#
#     benchmarks/gpu.sh [RESULT.json] [--small]
#
# It writes one JSON (by default benchmarks/results/gpu.json) with device, versions and images/s: the main job
# (resnet50 and efficientnet_b0 on 2,000 drawn equations, whole command), the tutorial's loop beside it, four
# runs one by one and side by side, and benchmarks/matrix.py in the minutes that are left. --small does the
# same with next to nothing, on any device, to see that it works. quadzoo's requirements must be installed;
# quadzoo itself need not be. PYTHON names the interpreter.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/gpu.py" "$@"
