#!/usr/bin/env bash
# Makes a built-in model from its data set: a model a fold, what these say of images that they have not seen, guidance
# learnt on that, and the network that ships, which learns from all images.
# Usage: scripts/train_shipped.sh uhcs|superalloy|ebc DATASET [WORK_FOLDER]
# Stop it at any time; the same command goes on where it stopped.
set -euo pipefail
usage="usage: scripts/train_shipped.sh uhcs|superalloy|ebc DATASET [WORK_FOLDER]"
name=${1:?$usage}
data=$(realpath "${2:?$usage}")
work=$(realpath -m "${3:-$(dirname "$0")/../runs/$name}")
cd "$(dirname "$0")/.."
phaseguide=${PHASEGUIDE:-.venv/bin/phaseguide}

# What stays out of everything: the samples that ship with the package, and the published test images.
case $name in
  uhcs)
    out=(uhcs0220 uhcs0495)
    settings=(--epochs 160 --set crossfit_epochs=45 --device cpu --threads 1) ;;
  superalloy)
    out=(spot2_0d_0 spot2_0d_4 spot2_180d_3 spot2_180d_5)
    settings=(--architecture fpn-fine --epochs 80 --set crossfit_epochs=25 --device cpu --threads 1
      --set augment_scale=0.6 --set inverted=0.25 --set degrade=0.2) ;;
  ebc)
    out=(040617_2_S127_20015 050317_3_S0440016 070516_1_S1160030)
    settings=(--architecture fpn-fine --epochs 60 --set crossfit_epochs=40 --device cpu --threads 1 --crop 512 --batch 2
      --set augment_scale=0.6 --set inverted=0.2 --set degrade=0.2) ;;
  *)
    echo "$usage" >&2
    exit 2 ;;
esac

mkdir -p "$work" src/phaseguide/weights
[ -f "$work/$name.safetensors" ] || "$phaseguide" train "$data" --out "$work/$name.safetensors" --name "$name" \
  --scheme "src/phaseguide/samples/$name/scheme.json" "${out[@]/#/--exclude=}" \
  --folds "docs/benchmarks/${name}_folds.json" --guidance refine --card "docs/benchmarks/${name}_card.json" \
  --patience 0 --set validation_share=0 "${settings[@]}" \
  --checkpoint "$work/checkpoint.safetensors"

cp "$work/$name.safetensors" "src/phaseguide/weights/$name.safetensors"
