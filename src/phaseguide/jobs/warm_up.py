"""What must be imported or compiled before the first result; done in a worker, where it stalls nobody."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from phaseguide.phases import PhaseScheme

_LOADED_LIBRARIES = Path("/proc/self/maps")
_compiling = threading.Lock()
_compiled = False


def warm_up() -> None:
    """Import torch and compile napari's colour mapping. Takes seconds the first time."""
    import_torch()
    compile_colours()


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


def compile_colours() -> None:
    """Let napari colour a few labels.

    With numba installed it compiles the code for that on first use, which takes up to four seconds; in
    the GUI thread this would freeze the window when the first result appears.
    """
    global _compiled
    with _compiling:
        if _compiled:
            return
        import numpy as np

        from phaseguide.widgets.layers.appearance import phase_colormap, phase_features

        scheme = PhaseScheme.from_names(["a", "b"])
        phase_features(scheme)
        phase_colormap(scheme).map(np.zeros((2, 2), dtype=np.uint8))
        _compiled = True
