#!/usr/bin/env bash
# Measure everything that needs a GPU, in one command of under nine minutes, without network or root:
#
#     benchmarks/gpu.sh [RESULT.json] [--small]
#
# It writes one JSON (by default benchmarks/results/gpu.json) with device, versions and images/s: the main job
# (resnet50 and efficientnet_b0 on 2,000 drawn equations, whole command), the tutorial's loop on the same images,
# four runs one by one and at the same time, and benchmarks/matrix.py in the minutes that are left. --small does
# the same at a tiny size, on any device, to test the script. quadzoo's requirements must be installed;
# quadzoo itself need not be. PYTHON names the interpreter.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/gpu.py" "$@"
