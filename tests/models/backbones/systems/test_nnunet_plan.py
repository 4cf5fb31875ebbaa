"""nnU-Net's plan: sides and depths that its rules give."""

from __future__ import annotations

import pytest

from phaseguide.models.backbones.systems.nnunet_plan import (
    BUDGET,
    SMALLEST_MAP,
    Plan,
    count_numbers,
    plan_network,
    stage_channels,
    stages_for,
)


@pytest.mark.parametrize(
    ("sizes", "planned"),
    [
        ([(512, 512)], Plan(512, 8)),  # as nnU-Net plans 2-D data of this size, with its batch of 12
        ([(484, 645)], Plan(512, 8)),  # the shorter side, brought up to what the network divides it by
        ([(768, 1024), (2000, 3000), (768, 1024)], Plan(512, 8)),  # the median; then what the memory takes
        ([(256, 256)], Plan(256, 7)),
        ([(100, 130)], Plan(128, 6)),
        ([(10, 9)], Plan(32, 4)),
    ],
)
def test_the_rules_give_the_known_plans(sizes: list[tuple[int, int]], planned: Plan) -> None:
    assert plan_network(sizes, 4) == planned


@pytest.mark.parametrize("side", range(33, 3000, 97))
def test_every_plan_keeps_the_rules(side: int) -> None:
    plan = plan_network([(side, side + 5)], 4)
    step = 2 ** (plan.stages - 1)
    assert plan.side % 32 == 0 and plan.side % step == 0
    assert SMALLEST_MAP <= plan.side // step < 2 * SMALLEST_MAP
    assert count_numbers(plan.side, 4) <= BUDGET
    assert plan.side >= min(side, 384)  # no smaller than it has to be


def test_channels_double_up_to_512() -> None:
    assert stage_channels(stages_for(512)) == [32, 64, 128, 256, 512, 512, 512, 512]
