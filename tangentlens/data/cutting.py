"""The rules that cut a text into tokens, as Hugging Face tokenizers without a vocabulary."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from tangentlens.data.messages import plain, shown
from tangentlens.data.texts import SEPARATOR
from tangentlens.errors import DataError, OptionError, nearest

NAMES = ("words", "whitespace", "characters", "scikit-learn")

_TAG = r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>"
_NO_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u30FC\uFF70"
_ALNUM = rf"[[\p{{L}}\p{{M}}\p{{N}}]&&[^{_NO_SPACES}]]+"
_INNER = r"(?:['’](?=\p{L})|(?<=\p{N})[.,](?=\p{N})|[\u200C\u200D]+)"
_CLUSTER = r"(?!\s)\X"  # what a reader sees as one character, such as an emoji with its modifiers
_PATTERNS = {
    "words": rf"{_TAG}|{_ALNUM}(?:{_INNER}{_ALNUM})*|{_CLUSTER}",
    "whitespace": r"[^\s\x1c-\x1f]+",  # str.split() also splits at the four ASCII separators
    "characters": r"(?m:.)",
    "scikit-learn": r"[\p{L}\p{N}_]{2,}",  # what Python's \b\w\w+\b finds
}
# In texts of simple characters, those that no other joins to what a reader sees as one character, "words" is a regular
# language: a letter or number after another, or after an apostrophe; points and commas between digits.
_SIMPLE = (r"\x00-\u{2FF}\u{370}-\u{482}\u{48A}-\u{52F}\u{2010}-\u{2027}\u{2030}-\u{205E}\u{2070}-\u{209C}"
           r"\u{20A0}-\u{20C0}\u{2190}-\u{21FF}")
_NUMBER = r"\p{N}+(?:[.,]\p{N}+)*"
_EXPRESSIONS = {
    "words": rf"{_TAG}|(?:\p{{L}}+|{_NUMBER})(?:['’]?\p{{L}}+|{_NUMBER})*|\S",
    "whitespace": _PATTERNS["whitespace"],
    "characters": "(?s:.)",
    "scikit-learn": _PATTERNS["scikit-learn"],
}
_SIGMA = "Σ"  # small letter by place in the word for Python, always the same for Hugging Face


@dataclass(frozen=True)
class Rule:
    """How texts are cut. `tokenizer` is one of NAMES, or "file" with the whole tokenizer.json in `content`."""

    tokenizer: str = "words"
    lowercase: bool = False
    separator: str = SEPARATOR
    content: str = ""

    def to_json(self) -> str:
        """The rule as the JSON string that a Vocabulary carries."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Rule:
        """The rule that a Vocabulary carries; DataError if it is not one."""
        try:
            rule = cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise DataError(f"the vocabulary's tokenizer {shown(text)} is no rule; leave it empty") from error
        if rule.tokenizer not in (*NAMES, "file"):
            raise DataError(f"the vocabulary's tokenizer is of an unknown kind; {nearest(rule.tokenizer, NAMES)}")
        return rule

    @classmethod
    def choose(cls, tokenizer: Any, *, lowercase: bool, separator: str) -> Rule:
        """The rule for the arguments of `tokenize`; reads the file if `tokenizer` is a path."""
        if tokenizer in NAMES:
            return cls(str(tokenizer), lowercase or tokenizer == "scikit-learn", separator)
        is_path = isinstance(tokenizer, str | os.PathLike)
        if not is_path or not (str(tokenizer).endswith(".json") or os.path.exists(tokenizer)):
            raise OptionError(f"there is no tokenizer {shown(tokenizer)}: name one of these, or the path of a "
                              f"tokenizer.json file; {nearest(plain(tokenizer), NAMES)}")
        path = Path(tokenizer)
        if lowercase:
            raise OptionError(f"{plain(path)} has its own rule for capitals; leave lowercase=False")
        try:
            content = path.read_bytes().decode()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise DataError(f"{plain(path)}: {reason}; name a tokenizer.json file of Hugging Face") from error
        rule = cls("file", False, separator, content)
        rule.loaded(plain(path))
        return rule

    def loaded(self, name: str = "the vocabulary's tokenizer") -> Tokenizer:
        """The Hugging Face tokenizer of a tokenizer.json; it adds nothing, and keeps the separator in one piece."""
        try:
            made = Tokenizer.from_str(self.content)
        except Exception as error:  # the library raises bare Exceptions
            raise DataError(f"{name} is no tokenizer.json of Hugging Face ({plain(error)}); "
                            "save it again with tokenizer.save(path)") from error
        made.no_truncation()
        made.no_padding()
        made.add_special_tokens([AddedToken(self.separator, normalized=False)])
        return made

    def unknown_id(self, encoder: Tokenizer) -> int:
        """The id that a tokenizer.json gives to what it does not know; −1 if there is none."""
        model = json.loads(self.content)["model"] if self.content else {}
        if model.get("unk_id") is not None:
            return int(model["unk_id"])
        index = encoder.token_to_id(model.get("unk_token") or "")
        return -1 if index is None else index

    def words(self, vocabulary: dict[str, int]) -> Tokenizer:
        """A tokenizer that cuts by this rule and looks whole tokens up; the unknown one is "", which cannot occur."""
        made = Tokenizer(models.WordLevel(vocabulary, unk_token=""))
        pattern = self._with_separator(_PATTERNS[self.tokenizer])
        if self.lowercase:
            made.normalizer = normalizers.Lowercase()
        made.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
        return made

    def expression(self) -> str:
        """The rule as a regular expression of Rust, right for all texts but `odd` ones."""
        return self._with_separator(_EXPRESSIONS[self.tokenizer])

    def odd(self, column: pl.Series, lowered: pl.Series) -> NDArray[np.bool_]:
        """Texts that need the rule as a Hugging Face tokenizer; (n,). `lowered`: in lower case if the rule wants it."""
        if self.tokenizer == "scikit-learn" or not (self.lowercase or self.tokenizer == "words"):
            return np.zeros(len(column), bool)
        odd = lowered.str.contains(f"[^{_SIMPLE}]")
        if self.lowercase:
            odd = odd | column.str.contains(_SIGMA, literal=True)
        return odd.to_numpy()

    def _with_separator(self, pattern: str) -> str:
        if self.tokenizer in ("whitespace", "scikit-learn"):
            return pattern
        separator = self.separator.lower() if self.lowercase else self.separator
        return f"{re.escape(separator)}|{pattern}"
