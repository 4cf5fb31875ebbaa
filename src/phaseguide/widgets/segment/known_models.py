"""The models that a dock lists. Whatever is wrong with one of them, the dock opens."""

from __future__ import annotations

from phaseguide.models.zoo import ZooEntry, list_models
from phaseguide.widgets.qt.plain_text import as_plain
from phaseguide.widgets.qt.tasks import as_user_error


def known_models() -> list[ZooEntry]:
    """Return every model that can be chosen by name; none, with a notification, where they cannot be listed."""
    from napari.utils.notifications import show_error

    try:
        return list_models()
    except Exception as error:
        show_error(as_plain(f"The models cannot be listed. {as_user_error(error)}"))
        return []
