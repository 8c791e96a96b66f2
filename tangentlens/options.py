"""What the commands of the command line take: options that several of them share."""

from __future__ import annotations

from collections.abc import Callable

import click

from tangentlens.audit import DEFAULT_ARCHITECTURES
from tangentlens.data.corpus import DOCUMENTS
from tangentlens.kernels import ARCHITECTURES, describe

Command = Callable[..., None]
_BAD_ROW = ("What to do with a row that has no usable text or label; a file with an open quote or a NUL byte is always "
            "refused.")


def reading_options(command: Command) -> Command:
    """FILE and how it is read."""
    return _with(command, [
        click.argument("file", metavar="FILE"),
        click.option("--text", default="text", show_default=True, metavar="COLUMN", help="Column of the texts."),
        click.option("--label", default="label", show_default=True, metavar="COLUMN", help="Column of the labels."),
        click.option("--text-b", metavar="COLUMN",
                     help="Column of second texts, joined to the first by a separator token."),
        click.option("--on-bad-row", type=click.Choice(["error", "skip"]), default="error", show_default=True,
                     help=_BAD_ROW),
        click.option("--encoding", metavar="NAME",
                     help="Encoding of FILE.  [default: UTF-8, or as its first bytes say]"),
        click.option("--source", "source_column", metavar="COLUMN",
                     help="Column that says where each text comes from: features of few sources are flagged."),
        click.option("--quote", default='"', show_default=True, metavar="MARK|none", help="Quote mark of csv and tsv."),
    ])


def audit_options(command: Command) -> Command:
    """What to audit and how, where to write, what to print."""
    return _options(command, ", ".join(map(describe, DEFAULT_ARCHITECTURES)), "audit-output")


def comparison_options(command: Command) -> Command:
    """The same for `compare`."""
    return _options(command, "all of them", "compare-output")


def _options(command: Command, defaults: str, output: str) -> Command:
    return _with(command, [
        click.option("--architecture", "-a", "architectures", multiple=True, metavar="NAME[:KEY=VALUE,…]",
                     help=f"An architecture; repeatable. Names: {', '.join(ARCHITECTURES)}. [default: {defaults}]"),
        click.option("--output", "-o", default=output, show_default=True, metavar="DIR",
                     help="Folder for audit.html, flags.json, scores.parquet, state.npz and run.json."),
        click.option("--tokenizer", default="words", show_default=True, metavar="words|whitespace|characters|FILE",
                     help="How texts are cut (also: scikit-learn); FILE is any tokenizer.json."),
        click.option("--lowercase", is_flag=True, help="Lower-case every text first."),
        click.option("--min-count", default=1, show_default=True, help="Rarer tokens count as unknown."),
        click.option("--validation", default=0.1, show_default=True, metavar="SHARE",
                     help="Share of the texts held out to choose the time."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
                     help="Of the split and of --sample."),
        click.option("--sample", type=int, metavar="N", help="Use N texts drawn at random."),
        click.option("--loss", type=click.Choice(["logistic", "softmax", "squared"]),
                     help="[default: logistic for two classes, softmax for more]"),
        click.option("--time", default="best", show_default=True, metavar="T|best", help="Gradient flow to this time."),
        click.option("--steps", type=int, metavar="N", help="Gradient descent for N steps instead of a flow."),
        click.option("--learning-rate", default="auto", show_default=True, metavar="RATE|auto", help="Of the descent."),
        click.option("--allow", metavar="FILE", help="Features never to flag, one a line (/…/: regular expression)."),
        click.option("--forbid", metavar="FILE", help="Features always to flag, one a line."),
        click.option("--suspects", metavar="FILE",
                     help="Regular expressions of features that should not decide, one a line."),
        click.option("--previous", metavar="DIR|FILE", help="Set the flags against those of an earlier run."),
        click.option("--fail-on", metavar="any|new|RULE|N",
                     help="Exit with status 1 for any flag, a new one, one of this rule, or N and more."),
        click.option("--memory", type=float, metavar="GB", help="That may be used.  [default: what is free]"),
        click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors."),
        click.option("--json", "as_json", is_flag=True, help="Print run.json instead of the summary."),
    ])


def explaining_options(command: Command) -> Command:
    """What `explain` is asked, and how FILE is read where it is data."""
    return _with(command, [
        click.argument("file", metavar="FILE"),
        click.option("--text", "questions", multiple=True, metavar="TEXT", help="A text to explain; repeatable."),
        click.option("--texts", "question_file", metavar="FILE", help="Texts to explain, one on each line."),
        click.option("--architecture", "-a", "architectures", multiple=True, metavar="NAME[:KEY=VALUE,…]",
                     help="An architecture; repeatable.  [default: the audit's]"),
        click.option("--step", type=int, metavar="N", help="Record of the trajectory, 0 the start.  [default: best]"),
        click.option("--without", metavar="ROW,ROW,…", help="What if these texts of the data were left out?"),
        click.option("--relabel", multiple=True, metavar="ROW=LABEL",
                     help="What if this text of the data had another label? Repeatable."),
        click.option("--text-column", default="text", show_default=True, metavar="COLUMN", help="Column of the texts."),
        click.option("--label", default="label", show_default=True, metavar="COLUMN", help="Column of the labels."),
        click.option("--on-bad-row", type=click.Choice(["error", "skip"]), default="error", show_default=True,
                     help=_BAD_ROW),
        click.option("--encoding", metavar="NAME", help="Encoding of FILE."),
        click.option("--tokenizer", default="words", show_default=True, metavar="words|whitespace|characters|FILE",
                     help="How texts are cut."),
        click.option("--json", "as_json", is_flag=True, help="Print the explanations as JSON."),
    ])


def training_options(command: Command) -> Command:
    """What `verify` trains."""
    count = click.IntRange(min=1)
    return _with(command, [
        click.option("--texts", type=count, default=100, show_default=True, metavar="N",
                     help="Texts to train on, drawn at random."),
        click.option("--widths", default="64,128,256,512", show_default=True, metavar="N,N,…",
                     help="Widths of the networks."),
        click.option("--networks", type=count, default=4, show_default=True, metavar="N",
                     help="Networks of each width."),
        click.option("--verify-steps", type=count, default=200, show_default=True, metavar="N",
                     help="Steps that each network is trained for."),
        click.option("--patterns", type=count, default=100, show_default=True, metavar="N",
                     help="Features of each family to compare: the most frequent ones."),
        click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
                     help="Where networks are trained."),
    ])


def language_options(command: Command) -> Command:
    """What `language` reads, counts and writes."""
    count = click.IntRange(min=1)
    return _with(command, [
        click.option("--architecture", "-a", "architectures", multiple=True, metavar="NAME[:KEY=VALUE,…]",
                     help="An architecture; repeatable.  [default: MLP, SelfAttention, MatrixVector]"),
        click.option("--output", "-o", default="language-output", show_default=True, metavar="DIR",
                     help="Folder for language.html, pairs.parquet and run.json."),
        click.option("--window", default="32", show_default=True, metavar="N",
                     help='Tokens of a context, or "all" those of the document before the target.'),
        click.option("--documents", type=click.Choice(DOCUMENTS), default="blocks", show_default=True,
                     help="How FILE is cut; ptb: as Penn Treebank and WikiText files."),
        click.option("--tokenizer", default="words", show_default=True, metavar="words|whitespace|characters|FILE",
                     help="How documents are cut; FILE is any tokenizer.json."),
        click.option("--lowercase", is_flag=True, help="Lower-case every document first."),
        click.option("--encoding", metavar="NAME",
                     help="Encoding of FILE.  [default: UTF-8, or as its first bytes say]"),
        click.option("--vocabulary-size", type=click.IntRange(min=2), metavar="N",
                     help="Only the N most frequent types are known."),
        click.option("--min-count", default=1, show_default=True, help="Rarer tokens count as unknown."),
        click.option("--time", default="best", show_default=True, metavar="T|best", help="Of the label scores."),
        click.option("--sample", type=count, default=2000, show_default=True, metavar="N",
                     help="Held-out contexts that perplexities are measured on."),
        click.option("--memory", type=float, metavar="GB", help="That may be used.  [default: 4/5 of what is free]"),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
                     help="Of the split and the sample."),
        click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors."),
        click.option("--json", "as_json", is_flag=True, help="Print run.json instead of the summary."),
    ])


def _with(command: Command, options: list[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
