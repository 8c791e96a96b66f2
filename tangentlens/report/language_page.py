"""What a next-token network learns first as one self-contained HTML page (see `document`)."""

from __future__ import annotations

from tangentlens.report import language_words
from tangentlens.report.document import columns, document
from tangentlens.report.language_content import LanguageAnswer
from tangentlens.report.page import flat
from tangentlens.report.wording import visible

_SCRIPTS = ("values.js", "pairs.js", "tables.js", "heat.js", "drawing.js", "language.js")


def render_language(answer: LanguageAnswer) -> str:
    """The page as text."""
    return document("language.html.j2", _SCRIPTS, {
        "answer": answer, "words": language_words, "settings": list(flat(answer.settings).items()),
        "payload": {"architectures": [
            {"name": visible(one.name), "targets": columns(one.targets), "heat": columns(one.heat)}
            for one in answer.architectures]}})
