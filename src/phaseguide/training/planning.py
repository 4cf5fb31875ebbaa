"""What nnU-Net plans from the images of a run: the side of its crops and how many stages its network has."""

from __future__ import annotations

from phaseguide.models.architectures import NNUNET
from phaseguide.models.backbones.systems.nnunet_plan import plan_network, stages_for
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import TrainingData


def plan_for(data: TrainingData, config: TrainingConfig) -> TrainingConfig:
    """Return the settings with a plan for the images; as they are where nothing is left to plan.

    A side that is given stays, and decides how many stages there are; stages that are given stay too. `TrainingError`
    for settings that the architecture has not.
    """
    config.check_architecture()
    if config.architecture != NNUNET or (config.crop and "stages" in config.decoder):
        return config
    sizes = [(image.labels.shape[0], image.labels.shape[1]) for image in data.taught]
    crop = config.crop or plan_network(sizes, len(data.scheme)).side
    stages = stages_for(max(config.crops or [crop]))
    return config.changed(crop=crop, decoder={"stages": stages, **config.decoder})


def tell_plan(planned: TrainingConfig, config: TrainingConfig) -> str:
    """Say what was planned; empty where nothing was."""
    if planned == config:
        return ""
    sides = " and ".join(map(str, planned.sides))
    return f"nnU-Net's plan for these images: crops of {sides} px, {planned.decoder['stages']} resolutions."
