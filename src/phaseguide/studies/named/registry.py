"""All named studies, in the order in which they are listed."""

from __future__ import annotations

from phaseguide.studies.named import embedding, inflated, ratio_error, response, steer, systems
from phaseguide.studies.study import Study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        systems.STUDY,
        ratio_error.STUDY,
        inflated.STUDY,
        response.STUDY,
        steer.STUDY,
        embedding.STUDY,
    )
}
