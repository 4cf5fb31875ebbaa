"""The demonstration: sample micrographs segmented without a ratio and with a simulated expert's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from phaseguide.datasets.folder import Item
from phaseguide.datasets.samples import Sample, open_sample, samples_with
from phaseguide.errors import DatasetError
from phaseguide.evaluation.confusion import Scores, confusion_matrix, scores_from_confusion
from phaseguide.evaluation.evaluate import open_session, predict
from phaseguide.evaluation.ratio_source import RatioSource, draw_generator
from phaseguide.evaluation.tables import named
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.card import Card
from phaseguide.models.model_file import LoadedModel
from phaseguide.ratios import Ratio, ratio_from_labels
from phaseguide.segmentation.request import Request, Segmentation

EXPERT_ERROR = 0.1
SEED = 0
RATIO_SOURCE = "simulated expert, 10 % error, seed 0"


@dataclass(frozen=True)
class DemoField:
    """One sample without (``plain``) and with (``guided``) the ratio, judged by its labels."""

    sample: Sample
    true: Ratio
    plain: Segmentation
    guided: Segmentation
    plain_scores: Scores
    guided_scores: Scores

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers: shares and scores in [0, 1] by phase, None where there is none."""
        scheme = self.sample.scheme
        return {
            "sample": self.sample.name,
            "ratio_source": RATIO_SOURCE,
            **{n: named(getattr(self.guided, n), scheme) for n in ("asked", "imposed", "achieved", "own")},
            "true": named(self.true, scheme),
            "without_ratio": self.plain_scores.to_dict(scheme),
            "with_ratio": self.guided_scores.to_dict(scheme),
        }


DemoEvent = Progress | Notice | DemoField | Finished[tuple[DemoField, ...]]


def demo_samples(card: Card) -> list[str]:
    """Names of the samples that show what a model does: those of its phases.

    Raises
    ------
    DatasetError
        No sample has them.
    """
    names = samples_with(card.scheme)
    if not names:
        raise DatasetError(
            f"No sample that ships has the phases of model {card.name!r} ({card.scheme.describe()}). Choose a "
            "model that ships, or segment an image of your own: phaseguide segment --help."
        )
    return names


def demonstrate(model: LoadedModel, *, device: str = "auto") -> Iterator[DemoEvent]:
    """Segment the `demo_samples` of a model twice: without a ratio and with that of a simulated expert.

    The expert is the first draw of the study ``expert:0.1`` with seed 0 on this image.
    """
    names = demo_samples(model.card)
    expert = RatioSource("expert", EXPERT_ERROR)
    train_mean = np.asarray(model.card.training_ratio_mean, dtype=np.float64)
    fields: list[DemoField] = []
    for index, name in enumerate(names):
        yield Progress(f"Segmenting {name} without a ratio", 2 * index, 2 * len(names))
        sample = open_sample(name)
        true = ratio_from_labels(sample.labels, len(sample.scheme))
        assert true is not None
        session = open_session(Item(name, sample.image_path, sample.label_path), model, device=device)
        plain = yield from _outcome(predict(session, Request(), None))
        yield Progress(f"Segmenting {name} with the ratio", 2 * index + 1, 2 * len(names))
        asked = expert.asked(true, train_mean, draw_generator(SEED, 0, name))
        guided = yield from _outcome(predict(session, Request(uncertainty=EXPERT_ERROR), asked))
        done = DemoField(sample, true, plain, guided, _judge(sample, plain), _judge(sample, guided))
        fields.append(done)
        yield done
    yield Progress("Segmenting", 2 * len(names), 2 * len(names))
    yield Finished(tuple(fields))


def _outcome(events: Iterator[Any]) -> Any:
    """Pass notices on and return the result."""
    result = None
    for event in events:
        if isinstance(event, Finished):
            result = event.result
        elif isinstance(event, Notice):
            yield event
    return result


def _judge(sample: Sample, segmentation: Segmentation) -> Scores:
    return scores_from_confusion(confusion_matrix(sample.labels, segmentation.labels, len(sample.scheme)))
