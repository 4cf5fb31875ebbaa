"""Errors that a user can cause. Each message says what is wrong, where, and what to do next."""

from __future__ import annotations


class PhaseguideError(Exception):
    """Base of every error that a user's input can cause."""


class RatioError(PhaseguideError):
    """A phase ratio that cannot be meant: over 100 %, negative, an unknown phase."""


class SchemeError(PhaseguideError):
    """A phase scheme, or labels that do not fit one."""


class MicrographError(PhaseguideError):
    """An image or label file that cannot be read, written or used."""


class DatasetError(PhaseguideError):
    """A data-set folder whose content does not fit together."""


class ModelError(PhaseguideError):
    """A model file that is damaged, foreign, too new, or made for other input."""


class DeviceError(PhaseguideError):
    """A compute device that is not there, or memory that does not suffice."""


class TrainingError(PhaseguideError):
    """A training run that cannot start or go on."""
