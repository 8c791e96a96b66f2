"""`tangentlens compare`: which architecture for these texts, and why. An audit of several, and what sets them apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tangentlens.audit import Progress, audited, choose
from tangentlens.data import Texts
from tangentlens.kernels import ARCHITECTURES, Architecture, describe
from tangentlens.outcome import Audit
from tangentlens.predictions import evidence
from tangentlens.predictions.evidence import Evidence
from tangentlens.report.compared import Learned, compared, with_leads


def compare(texts: Texts | Callable[[], Texts], architectures: Sequence[Architecture] | None = None, *,
            progress: Progress | None = None, **settings: Any) -> Audit:
    """The audit of several architectures, and beside it what sets them apart on these texts.

    For every architecture at its best time, `content.compared` holds a `ComparedAnswer`: accuracy on held-out texts,
    with its lead over each other one; what it makes of the n-grams that say the opposite of their words (`tl.contrary`,
    found in the training texts); interactions; the bias and what it does to single tokens; what is learned when.

    texts, progress and settings: as in `audit`; architectures: by default all six kinds, with their default options.
    Raises DataError or OptionError, as `audit` does.

    >>> import tangentlens as tl
    >>> found = tl.compare(tl.negations(size=2000, clauses=4).train, [tl.MLP(), tl.LinearRNN()], time=50.0)
    >>> [(answer.name, answer.longest, answer.contrary.height) for answer in found.content.compared]
    [('MLP', 1, 96), ('LinearRNN', 5, 96)]
    """
    chosen = choose(architectures or [kind() for kind in ARCHITECTURES.values()])
    found, material = audited(texts, chosen, progress=progress, settings=settings)
    say = progress or (lambda line: None)
    say("looking for n-grams that say the opposite of their words")
    asked = Evidence.of(material.tokens, material.labels, material.held_tokens)
    answers, right, rows = [], [], found.table
    for architecture, trajectory in zip(found.architectures, found.trajectories, strict=True):
        say(f"{describe(architecture)}: comparing")
        learned = Learned.of(architecture, trajectory, rows)
        answer, hits = compared(learned, asked, material.held_labels)
        answers.append(answer)
        right.append(hits)
        rows = rows.slice(sum(learned.rows))
    about = {"comparison": {"frequent": evidence.FREQUENT, "contrary_texts": evidence.LEAST, "level": evidence.LEVEL,
                            "orders": list(evidence.ORDERS), "ngrams": evidence.MOST}}
    content = replace(found.content, compared=with_leads(answers, right, asked.holding),
                      settings=found.content.settings | about)
    return replace(found, content=content)
