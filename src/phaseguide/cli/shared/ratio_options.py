"""What the options of a command say about the expected ratio, read into one object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.shared.errors import say_notice
from phaseguide.cli.shared.output import resolve_uncertainty
from phaseguide.errors import PhaseguideError, RatioError

if TYPE_CHECKING:
    from phaseguide.models.card import Card
    from phaseguide.phases import PhaseScheme
    from phaseguide.ratios import Basis, Preset, Ratio
    from phaseguide.segmentation.request import Request

PANEL = "The expected ratio"
NOT_STATED = "not stated, taken as a visual estimate"


def _told(metavar: str, help_text: str) -> Any:
    return typer.Option(metavar=metavar, rich_help_panel=PANEL, help=help_text)


RatioOption = Annotated[
    str | None,
    _told(
        "TEXT|none|auto",
        'Shares that you expect, "ferrite=15%,2=0.3", or cells of a spreadsheet, "15;30;". Phases that '
        "you leave out are open. auto: the model estimates them. Without this option: none.",
    ),
]
BasisOption = Annotated[
    str | None,
    _told(
        "area|weight",
        "What the shares are: area % (the same as volume %) or weight % (XRD), which needs --density. "
        "Default: area.",
    ),
]
DensityOption = Annotated[
    str | None,
    _told("TEXT", 'Densities in g/cm3 for --basis weight, also of open phases: "ferrite=7.87,2=7.69".'),
]
SourceOption = Annotated[
    str | None,
    _told(
        "field|bulk|visual|TEXT",
        "Where the ratio comes from. field: EBSD or point count of this field, uncertainty 0.1. bulk: "
        "XRD or dilatometry of the specimen, 0.2. visual: by eye, 0.3. Any other text is only for the "
        "record, and the ratio counts as visual.",
    ),
]
RatioUncertaintyOption = Annotated[
    str | None,
    _told(
        "U|TEXT",
        "How unsure the ratio is: standard deviation of the logarithm of a phase's share to the rest, for "
        'all phases, or "ferrite=0.1,2=0.3". 0.1 makes 10 % to 9.1-10.9 %, 0.3 makes it 7.6-13.0 %. The mask '
        "gets a blend of the ratio and what the model sees. Default: what the source means.",
    ),
]
RatioExactOption = Annotated[
    bool,
    typer.Option(
        "--exact", rich_help_panel=PANEL, help="Take the ratio as exact: the mask gets it to one pixel."
    ),
]
ScopeOption = Annotated[
    str | None,
    _told(
        "field|specimen",
        "What the ratio is about. field: every image, every plane of a stack. specimen: all images of this "
        "call together; their mean meets it, and the scatter between them stays. Default: specimen with "
        "--source bulk, else field.",
    ),
]
PresetOption = Annotated[
    str | None,
    _told("NAME", "Take ratio, basis, densities, source, uncertainty and scope from a preset of this model."),
]
MaterialOption = Annotated[
    str | None,
    _told("TEXT", "Material of the preset; needed where two materials have a preset of the same name."),
]
EstimatorOption = Annotated[
    str | None,
    _told(
        "own|autoregressive|prior-shift",
        "How --ratio auto finds the ratio. own: the areas of the map without one. autoregressive: they are fed back to "
        "the network, and what it then sees again, until they settle; the map is what the network sees that knows them "
        "(--mode both: then matched too). prior-shift: what explains the scores best. Default: own.",
    ),
]
SavePresetOption = Annotated[
    str | None,
    _told("NAME", "Keep all this as a preset of this model; --overwrite replaces one of the same name."),
]


@dataclass(frozen=True)
class RatioOptions:
    """What the user expects, ready for a request.

    ``text`` is as it was typed; ``asked`` has area shares, NaN where open; ``source`` is for the record. ``preset`` is
    the same as it was entered; None without a ratio. ``details`` is what records and JSON tell beyond these: basis,
    densities, conversion, preset.
    """

    text: str
    asked: Ratio | None = None
    auto: bool = False
    estimator: Any = "own"
    uncertainty: Any = None
    scope: Any = "field"
    source: str | None = None
    preset: Preset | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def conversion(self) -> str:
        """Sentence on what was converted; empty for area %."""
        return str(self.details.get("conversion") or "")

    def told(self, request: Request) -> dict[str, Any]:
        """What the JSON output says of the ratio."""
        given = self.asked is not None
        return {
            "ratio": self.text,
            "estimator": self.estimator if self.auto else None,
            "uncertainty": request.uncertainty if given else None,
            "source": self.source,
            "scope": self.scope if given else None,
            **{key: self.details.get(key) for key in ("basis", "densities_g_cm3", "conversion", "preset")},
        }


def read_ratio_options(
    card: Card,
    *,
    ratio: str | None,
    basis: str | None,
    density: str | None,
    source: str | None,
    uncertainty: str | None,
    exact: bool,
    scope: str | None,
    preset: str | None,
    material: str | None,
    estimator: str | None = None,
) -> RatioOptions:
    """Read the options above; `RatioError` or `PhaseguideError` for what cannot be meant, alone or together."""
    scheme, text = card.scheme, (ratio or "none").strip()
    if ratio is not None and not ratio.strip():
        raise RatioError("--ratio is empty: every phase is open. Give at least one a share, or --ratio none.")
    as_weight = _checked("--basis", basis, ("area", "weight")) == "weight"
    about = _checked("--scope", scope, ("field", "specimen"))
    unsure = _read_uncertainty(uncertainty, exact, scheme)
    how = _checked("--estimator", estimator, ("own", "autoregressive", "prior-shift"))
    if how is not None and text.lower() != "auto":
        raise PhaseguideError(
            f"--estimator says how the model finds the ratio, but --ratio is {text}. Give --ratio auto."
        )
    if preset is None and text.lower() in ("none", "auto"):
        if about == "specimen" or as_weight or density:
            raise PhaseguideError(
                f"--scope specimen, --basis weight and --density say what a ratio means, but --ratio is {text}. "
                'Give a ratio, for example --ratio "1=15%".'
            )
        # Nothing is asked of the field, but regions may ask, and the source says how sure that is.
        form, _ = _with_source(_new_form(card, "", False, None), source, stated=False)
        form = form if unsure is None else form.model_copy(update={"uncertainty": unsure})
        return RatioOptions(
            text,
            auto=text.lower() == "auto",
            estimator=how or "own",
            uncertainty=form.uncertainties(scheme),
            source=source,
        )
    if preset is None:
        form = _new_form(card, text, as_weight, density)
    elif ratio is not None or basis is not None or density is not None:
        raise PhaseguideError(
            "--preset brings its own ratio. Leave out --ratio, --basis and --density, or leave out --preset."
        )
    else:
        form, text = _stored(card.name, preset, material), f"preset {preset}"
    form, title = _with_source(form, source, stated=preset is not None)
    said = {"uncertainty": unsure, "scope": about}
    form = form.model_copy(update={key: value for key, value in said.items() if value is not None})
    asked = form.asked(scheme)
    return RatioOptions(
        text,
        asked=_not_all_open(asked),
        uncertainty=form.uncertainties(scheme),
        scope=form.scope,
        source=title,
        preset=form,
        details=_details(form, asked, scheme),
    )


def keep_preset(ratio_options: RatioOptions, name: str, material: str | None, *, overwrite: bool) -> None:
    """Save the ratio of the options as a preset; `RatioError` if there is no ratio, or the name is taken."""
    if ratio_options.preset is None:
        raise RatioError(f"--save-preset keeps a ratio, but --ratio is {ratio_options.text}. Give one.")
    kept = ratio_options.preset.model_copy(
        update={"name": name, "material": material or ratio_options.preset.material}
    )
    _store().save(kept, overwrite=overwrite)


def _store() -> Any:
    from phaseguide.folders import user_model_folder
    from phaseguide.ratios import PresetStore

    return PresetStore(user_model_folder().parent)


def _stored(model: str, name: str, material: str | None) -> Preset:
    store = _store()
    for problem in store.list(model).problems:
        say_notice(problem)
    found: Preset = store.load(model, name, material)
    return found


def _new_form(card: Card, text: str, as_weight: bool, density: str | None) -> Preset:
    from phaseguide.ratios import Preset, numbers_by_phase, parse_ratio

    scheme = card.scheme
    if density is not None and not as_weight:
        raise PhaseguideError("--density belongs to --basis weight. Add that, or leave the densities out.")
    shares = parse_ratio(text, scheme)
    densities = _by_name(numbers_by_phase(density or "", scheme, "density"), scheme)
    entered = {
        name: None if share != share else float(share)
        for name, share in zip(scheme.names, shares, strict=True)
    }
    basis: Basis = "weight" if as_weight else "area"
    return Preset(name="", model=card.name, shares=entered, basis=basis, densities=densities)


def _with_source(form: Preset, source: str | None, *, stated: bool) -> tuple[Preset, str]:
    """Apply ``--source``: a key sets the uncertainty and the scope too, other text is for the record."""
    from phaseguide.ratios import SOURCES, find_source

    key = (source or "").strip().casefold()
    if key in {known.key for known in SOURCES}:
        chosen = find_source(key)
        changed = {"source": key, "uncertainty": None, "scope": chosen.scope}
        return form.model_copy(update=changed), chosen.title
    if key == "force":
        raise RatioError("--source force is no source. Say --exact to impose the ratio exactly.")
    if source is not None:
        return form, source
    return form, find_source(form.source).title if stated else NOT_STATED


def _read_uncertainty(text: str | None, exact: bool, scheme: PhaseScheme) -> dict[str, float] | None:
    from phaseguide.ratios import numbers_by_phase

    if text is None:
        return dict.fromkeys(scheme.names, 0.0) if exact else None
    try:
        number = float(text)
    except ValueError:
        if exact:
            raise PhaseguideError("--exact and --uncertainty exclude each other. Keep one.") from None
        return _by_name(numbers_by_phase(text, scheme, "uncertainty"), scheme)
    return dict.fromkeys(scheme.names, resolve_uncertainty(number, exact))


def _by_name(numbers: Ratio, scheme: PhaseScheme) -> dict[str, float]:
    return {name: float(n) for name, n in zip(scheme.names, numbers, strict=True) if n == n}


def _not_all_open(asked: Ratio) -> Ratio:
    if (asked != asked).all():
        raise RatioError(
            "Every phase is open, so there is no ratio. Give at least one a share, or --ratio none."
        )
    return asked


def _details(form: Preset, asked: Ratio, scheme: PhaseScheme) -> dict[str, Any]:
    from phaseguide.ratios import describe_conversion

    details: dict[str, Any] = {"basis": form.basis, "preset": form.title if form.name else None}
    if form.basis == "weight":
        details["densities_g_cm3"] = form.densities
        details["asked_weight"] = _by_name(form.values(scheme), scheme)
        details["conversion"] = describe_conversion(form.values(scheme), asked, scheme)
    return details


def _checked(option: str, value: str | None, known: tuple[str, ...]) -> Any:
    if value is not None and value not in known:
        raise PhaseguideError(f"{option} {value!r} is not known. Choose {' or '.join(known)}.")
    return value
