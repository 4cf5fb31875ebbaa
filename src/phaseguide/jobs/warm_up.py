"""What must be imported before the first result; done in a worker, where it stalls nobody."""

from __future__ import annotations

import sys
from pathlib import Path

_LOADED_LIBRARIES = Path("/proc/self/maps")


def import_torch() -> None:
    """Import torch, the sessions and the libraries of the networks.

    torchvision pulls in triton, which brings its own copy of LLVM. Where Mesa has loaded another LLVM
    to draw with (software rendering, AMD and some Intel GPUs) that crashes the process, so triton is
    then declared absent. It would only be needed to compile networks, which nothing here does.
    """
    if "triton" not in sys.modules and mesa_brought_llvm():
        sys.modules["triton"] = None  # type: ignore[assignment]
    import segmentation_models_pytorch  # noqa: F401
    import torch  # noqa: F401

    import phaseguide.models.model_file
    import phaseguide.models.segmenter
    import phaseguide.segmentation.session  # noqa: F401


def mesa_brought_llvm() -> bool:
    """Whether an LLVM library is loaded into this process; always False where that cannot be seen."""
    try:
        return "libLLVM" in _LOADED_LIBRARIES.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
