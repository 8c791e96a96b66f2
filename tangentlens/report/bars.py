"""The shares of a spectrum as a bar of characters, which tell the parts apart with and without colour."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from tangentlens.report.wording import finite

WIDTH = 24
PARTS = (("bias", "░", "b", "bright_black"), ("tokens", "█", "t", "blue"), ("pairs", "▒", "p", "yellow"),
         ("longer", "≡", "l", "green"))  # name, character, the same where there is only ASCII, colour


def bar(shares: Sequence[float], *, ascii_only: bool = False) -> Text:
    """WIDTH characters; each belongs to the part that its middle falls into. A share that is no number has none.

    >>> bar([0.25, 0.5, 0.0, 0.25]).plain
    '░░░░░░████████████≡≡≡≡≡≡'
    >>> bar([0.1, 0.9, 0.0, 0.0], ascii_only=True).plain
    'bbtttttttttttttttttttttt'
    """
    text, drawn, reached = Text(), 0, 0.0
    for share, (_, character, letter, colour) in zip(shares, PARTS, strict=True):
        reached += finite(share) or 0.0
        end = min(WIDTH, round(WIDTH * reached))
        text.append((letter if ascii_only else character) * (end - drawn), colour)
        drawn = end
    return text


def key(*, ascii_only: bool = False) -> Text:
    """What the characters mean.

    >>> key().plain
    '░ bias   █ tokens   ▒ pairs   ≡ longer'
    """
    return Text("   ").join(Text.assemble((letter if ascii_only else character, colour), f" {name}")
                            for name, character, letter, colour in PARTS)
