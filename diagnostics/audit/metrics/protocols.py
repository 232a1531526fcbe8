"""Protocols by name: presets of ``cell-eval2``, and scPertEval's table, its groups and its notation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from diagnostics.audit.evaluation.cell_eval import PRESETS
from gpcp.core.errors import InputError, nearest
from gpcp.imports import need


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """Protocols of both packages.

    Parameters
    ----------
    presets : tuple of str
        Of ``cell-eval2``.
    scpert : tuple of str
        Concrete protocols of scPertEval, such as ``mse_top_k=50``.
    """

    presets: tuple[str, ...]
    scpert: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of both."""
        return (*self.presets, *self.scpert)


def protocols_named(names: Sequence[str]) -> Chosen:
    """Find protocols: ``vcc2026`` or ``v2``, a protocol or group of scPertEval, or ``all`` of the latter.

    Raises
    ------
    InputError
        A package is not installed, or there is no protocol of a name.
    """
    presets = tuple(dict.fromkeys(one for one in names if one in PRESETS))
    others = [one for one in names if one not in PRESETS]
    if presets:
        need("cell_eval2", extra="evaluate", use=f"preset {presets[0]}")
    return Chosen(presets=presets, scpert=_scpert(others) if others else ())


def _scpert(names: Sequence[str]) -> tuple[str, ...]:
    need("scperteval", extra="evaluate", use=f"protocol {names[0]}")
    import warnings

    from scperteval.protocols.resolve import resolve_protocols
    from scperteval.protocols.table import GROUPS, PROTOCOLS

    known: Any = (*PRESETS, "all", *GROUPS, *PROTOCOLS)
    found: list[str] = []
    for name in names:
        if name.partition("=")[0] not in known:
            raise InputError(f"--protocols: there is no protocol {name!r}; {nearest(name, known)}")
        with warnings.catch_warnings():
            # Of protocols whose own extra is not installed, which a group leaves out.
            warnings.simplefilter("ignore")
            try:
                found += [str(one.name) for one in resolve_protocols([name])]
            except ValueError as error:
                raise InputError(f"--protocols: {error}") from error
    return tuple(dict.fromkeys(found))
