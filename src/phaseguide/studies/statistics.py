"""Means with their spread and 95 % intervals, over folds or images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def paired_difference(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, Any]:
    """Mean paired difference of a score over the same images, with a 95 % t interval and Wilcoxon's p value.

    Returns
    -------
    dict
        ``mean``, ``low``, ``high``, ``p`` (signed ranks) and ``n``; p is 1 where no image differs.
    """
    from scipy import stats

    gaps = np.array([ours[s] - theirs[s] for s in ours], dtype=np.float64)
    mean, n = float(gaps.mean()), gaps.size
    if n < 2 or not gaps.any():
        return {"mean": mean, "low": mean, "high": mean, "p": 1.0, "n": n}
    half = _half_width(gaps)
    return {
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
        "p": float(stats.wilcoxon(gaps).pvalue),
        "n": n,
    }


def spread(values: dict[str, float]) -> dict[str, Any] | None:
    """Mean, standard deviation and 95 % t interval over folds; None without any, no interval with one."""
    if not values:
        return None
    numbers = np.array(list(values.values()))
    several = numbers.size > 1
    mean, half = float(numbers.mean()), _half_width(numbers) if several else 0.0
    return {
        "mean": mean,
        "std": float(numbers.std(ddof=1)) if several else 0.0,
        "low": mean - half if several else None,
        "high": mean + half if several else None,
        "folds": values,
    }


def seconds(values: Iterable[float | None]) -> dict[str, Any] | None:
    """Median and largest of the times that are known, and how many; None without any."""
    known = [v for v in values if v is not None]
    if not known:
        return None
    return {"median": float(np.median(known)), "max": float(max(known)), "n": len(known)}


def _half_width(values: np.ndarray[Any, Any]) -> float:
    """Half of a 95 % interval of the mean, by Student's t."""
    from scipy import stats

    n = values.size
    return float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))
