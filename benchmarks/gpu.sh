#!/usr/bin/env bash
# The main job on a GPU, in one command, without network or root:
#
#     benchmarks/gpu.sh [RESULT.json] [flags of quadzoo bench]
#
# It trains resnet50 and efficientnet_b0 on 2,000 drawn equations and writes one JSON (by default
# benchmarks/results/gpu.json) with device, versions, images/s and seconds for each backbone. quadzoo's
# requirements must be installed; quadzoo itself need not be. PYTHON names the interpreter.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/gpu.py" "$@"
