#!/usr/bin/env bash
# Makes the built-in model "uhcs" from the data set: a model a fold, what these say of images that they have not seen,
# guidance learnt on that, and the network that ships, which learns from all images.
# Usage: scripts/train_uhcs.sh DATASET [WORK_FOLDER]
# Stop it at any time; the same command goes on where it stopped.
set -euo pipefail
data=${1:?"usage: scripts/train_uhcs.sh DATASET [WORK_FOLDER]"}
cd "$(dirname "$0")/.."
work=${2:-runs/uhcs}
phaseguide=${PHASEGUIDE:-.venv/bin/phaseguide}
mkdir -p "$work" src/phaseguide/weights

# The two samples that ship with the package stay out of everything.
[ -f "$work/uhcs.safetensors" ] || "$phaseguide" train "$data" --out "$work/uhcs.safetensors" --name uhcs \
  --scheme src/phaseguide/samples/uhcs/scheme.json --exclude uhcs0220 --exclude uhcs0495 \
  --folds docs/benchmarks/uhcs_folds.json --guidance refine --card docs/benchmarks/uhcs_card.json \
  --epochs 160 --patience 0 --set crossfit_epochs=45 --set validation_share=0 \
  --device cpu --threads 1 --checkpoint "$work/checkpoint.safetensors"

cp "$work/uhcs.safetensors" src/phaseguide/weights/uhcs.safetensors
