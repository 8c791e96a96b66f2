"""What a next-token network learns first, for the terminal: plain text only."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tangentlens.report import language_words as words
from tangentlens.report.language_content import LanguageAnswer, LanguageArchitecture
from tangentlens.report.terminal import _add, _line, _table
from tangentlens.report.wording import figure, signed, visible

ROWS = 6
SHORT = 12  # characters of a token in a list


def print_language(answer: LanguageAnswer, console: Console) -> None:
    """Print the answer in words, perplexities, and for every architecture its strongest and most particular contexts.

    Example: `print_language(tl.language(documents), rich.console.Console())`.
    """
    corpus, first = answer.corpus, answer.architectures[0]
    _line(console, f"What next-token networks learn first from {corpus.source}", "bold")
    told = "; ".join(f'"{row["feature"]}" in the context calls for "{row["target"]}"' for row in words.leading(first))
    _line(console, f"Beyond how frequent each token is, {first.name} learns first: {told}.")
    if compared := words.compared(answer):
        _line(console, compared)
    window = f"the {corpus.window} tokens before" if corpus.window else "all tokens before"
    _line(console, f"{figure(corpus.tokens)} tokens in {figure(corpus.documents)} {words.documents(corpus)}, "
                   f"{figure(corpus.types)} types, {figure(corpus.contexts)} contexts ({window}), "
                   f"{figure(corpus.held_out)} tokens held out")
    if answer.perplexities.height:
        table = _table("Perplexity on held-out text (chosen: time or weight)", ["model"],
                       ["perplexity", "nats", "chosen", "contexts"])
        for row in answer.perplexities.to_dicts():
            _add(table, row["model"], *map(figure, (row["perplexity"], row["loss"], row["chosen"], row["contexts"])))
        console.print()
        console.print(table)
    for one in answer.architectures:
        console.print()
        console.print(_contexts(one))
    for note in answer.notes:
        _line(console, f"Note: {note}", "yellow")


def _contexts(one: LanguageArchitecture) -> Table:
    """Contexts with the strongest pairs, then those with the pairs furthest from chance."""
    table = _table(f"{one.name}: label scores beyond the unigram at time {figure(one.time)}",
                   ["context", "calls for", "speaks against"], ["count", "score of first", "times chance"])
    for by in ("beyond", "lift"):
        for row in words.leading(one, ROWS, by=by):
            high, low = words.ends(one, row["feature"])
            high = list(dict.fromkeys([row["target"], *high]))[:3]
            _add(table, row["feature"], _list(high), _list(low), figure(row["count"]), signed(row["beyond"]),
                 figure(row["lift"]))
        table.add_section()
    return table


def _list(tokens: list[str]) -> str:
    shown = [visible(token) for token in tokens]
    return "  ".join(one if len(one) <= SHORT else one[:SHORT - 1] + "…" for one in shown)
