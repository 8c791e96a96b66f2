"""Architectures from text, as the command line writes them: NAME[:option=value,…]."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tangentlens.errors import OptionError, nearest
from tangentlens.kernels.architecture import Architecture


def parse_architecture(text: str, known: Mapping[str, type[Architecture]]) -> Architecture:
    """The architecture that `describe` would write like this; names in any case, one number per layer joined by +.

    >>> from tangentlens.kernels import ARCHITECTURES
    >>> parse_architecture("mlp:depth=2,weight_std=1.5+1,activation=gelu", ARCHITECTURES).weight_std
    (1.5, 1.0)
    """
    name, _, rest = text.partition(":")
    by_name = {key.lower(): kind for key, kind in known.items()}
    if name.strip().lower() not in by_name:
        raise OptionError(f'unknown architecture "{name}": {nearest(name, known)}')
    kind = by_name[name.strip().lower()]
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    options: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in rest.split(","))):
        option, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise OptionError(f'"{part}" in "{text}" is not of the form option=value')
        if option not in fields:
            raise OptionError(f'{kind.__name__} has no option "{option}": {nearest(option, fields)}')
        if option in options:
            raise OptionError(f'"{text}" gives {option} twice; leave one out')
        options[option] = _value(value, str(fields[option].type), f"{kind.__name__}: {option}")
    return kind(**options)


def _value(text: str, kind: str, where: str) -> Any:
    """The text as the type that the field declares."""
    if kind == "bool":
        if text.lower() not in ("true", "false", "yes", "no", "1", "0"):
            raise OptionError(f'{where} must be true or false, not "{text}"')
        return text.lower() in ("true", "yes", "1")
    if "str" in kind:
        return None if text.lower() == "none" else text
    try:
        if kind == "int":
            return int(text)
        numbers = tuple(float(part) for part in text.split("+"))
    except ValueError:
        wanted = "a whole number" if kind == "int" else "a number"
        raise OptionError(f'{where} must be {wanted}, not "{text}"') from None
    if len(numbers) > 1 and "tuple" not in kind:
        raise OptionError(f'{where} takes one number, not "{text}"')
    return numbers if len(numbers) > 1 else numbers[0]
