#!/usr/bin/env bash
# Makes the built-in model "uhcs" from the data set: first the backbone, then guidance on top of it.
# Usage: scripts/train_uhcs.sh DATASET [WORK_FOLDER]
# Stop it at any time; the same command goes on where it stopped. One CPU thread: about 50 minutes
# for the backbone, one for the guidance.
set -euo pipefail
data=${1:?"usage: scripts/train_uhcs.sh DATASET [WORK_FOLDER]"}
cd "$(dirname "$0")/.."
work=${2:-runs/uhcs}
phaseguide=${PHASEGUIDE:-.venv/bin/phaseguide}
mkdir -p "$work"

# The two samples that ship with the package stay out of everything.
common=(--name uhcs --scheme src/phaseguide/samples/uhcs/scheme.json --exclude uhcs0220 --exclude uhcs0495
  --device cpu --threads 1)

[ -f "$work/backbone.safetensors" ] || "$phaseguide" train "$data" --out "$work/backbone.safetensors" \
  "${common[@]}" --guidance none --epochs 160 --patience 0 --set average=0.995 --set validate_every=8 \
  --checkpoint "$work/backbone.checkpoint.safetensors"

"$phaseguide" train "$data" --out "$work/uhcs.safetensors" --overwrite "${common[@]}" \
  --start "$work/backbone.safetensors" --guidance ccrm --card docs/benchmarks/uhcs_card.json \
  --set schedule=guidance --set guidance_scales=4 --set 'guidance_options={"coordinates": false, "delta": 1.0}' \
  --set guidance_epochs=11 --set guidance_rate=15 --set guidance_composition_weight=3 --set ratio_noise=0.5 \
  --checkpoint "$work/guidance.checkpoint.safetensors"

rm -f "$work"/*.checkpoint.safetensors
mkdir -p src/phaseguide/weights
cp "$work/uhcs.safetensors" src/phaseguide/weights/uhcs.safetensors
