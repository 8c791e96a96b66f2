"""How text and numbers from outside are shown: control characters visible, numbers with three digits, never NaN."""

from __future__ import annotations

import math
from typing import Any

_CONTROLS = {0: "NUL", 9: "TAB", 10: "LF", 13: "CR", 27: "ESC", 127: "DEL"}
LONGEST = 2_000  # characters of a text that are shown; what is longer is no word that anybody reads
_JOINERS = "\u200c\u200d"  # part of emoji and of Persian or Indic words: shown only where they stand beside plain ASCII


def visible(text: object) -> str:
    """The text with every control, bidirectional-override or other invisible character written out.

    A few controls become their short names, everything else its code point, so that nothing can move the
    cursor, reorder a line or hide in a table. Of more than LONGEST characters only so many are shown.

    >>> visible("a\\n\\x1b[31mb\\u202e")
    'a⟨LF⟩⟨ESC⟩[31mb⟨U+202E⟩'
    >>> visible("a" * 9_000)[LONGEST - 1:]
    'a… (9,000 characters)'
    """
    characters = str(text)
    if len(characters) > LONGEST:
        characters = f"{characters[:LONGEST]}… ({len(characters):,} characters)"
    if characters.isprintable():
        return characters
    return "".join(_shown(c, characters[max(0, i - 1) : i]) for i, c in enumerate(characters))


def _shown(character: str, before: str) -> str:
    code = ord(character)
    if code in _CONTROLS:
        return f"⟨{_CONTROLS[code]}⟩"
    if character in _JOINERS and before and not before.isascii():
        return character
    return character if character.isprintable() else f"⟨U+{code:04X}⟩"


def finite(value: Any) -> float | None:
    """The number, or None if it is missing, NaN or infinite.

    >>> finite(float("nan")), finite(2)
    (None, 2.0)
    """
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def figure(value: Any) -> str:
    """A number with three significant digits and thousands separators; whole numbers in full.

    >>> figure(12345), figure(0.0123456), figure(1234.5), figure(2.5e-7), figure(None)
    ('12,345', '0.0123', '1,230', '2.50e-07', '—')
    """
    number = finite(value)
    if number is None:
        return "—"
    if isinstance(value, int) or (number == int(number) and abs(number) < 1000):
        return f"{int(number):,}"
    size = abs(number)
    if size < 1e-4 or size >= 1e9:
        return f"{number:.2e}"
    decimals = max(0, 2 - math.floor(math.log10(size)))
    return f"{round(number, 2 - math.floor(math.log10(size))):,.{decimals}f}"


def percent(share: Any) -> str:
    """A share between 0 and 1 as a percentage.

    >>> percent(0.8134), percent(0.00002), percent(None)
    ('81.3 %', '<0.1 %', '—')
    """
    number = finite(share)
    if number is None:
        return "—"
    if 0 < number < 0.0005:
        return "<0.1 %"
    return f"{100 * number:.1f} %"


def rate(share: Any, error: Any) -> str:
    """A share and its standard error.

    >>> rate(0.8134, 0.0151), rate(None, None)
    ('81.3 ± 1.5 %', '—')
    """
    number, around = finite(share), finite(error)
    return "—" if number is None or around is None else f"{100 * number:.1f} ± {100 * around:.1f} %"


def points(difference: float, error: float) -> str:
    """A difference of two shares and its standard error.

    >>> points(0.0134, 0.0091), points(-0.02, 0.01)
    ('1.3 ± 0.9 points', '−2.0 ± 1.0 points')
    """
    return f"{100 * difference:.1f} ± {100 * error:.1f} points".replace("-", "−")


def signed(value: Any) -> str:
    """A label score: three significant digits with its sign.

    >>> signed(0.5), signed(-1.25e-3), signed(0.0), signed(float("inf"))
    ('+0.500', '−0.00125', '0', '—')
    """
    number = finite(value)
    if not number:
        return "0" if number == 0 else "—"
    size = abs(number)
    if size >= 1000 or size < 1e-4:
        text = figure(size)
    else:
        text = f"{size:.{max(0, 2 - math.floor(math.log10(size)))}f}"
    return ("−" if number < 0 else "+") + text
