"""The rules that cut a text into tokens, as Hugging Face tokenizers without a vocabulary."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from tangentlens.data.messages import plain, shown
from tangentlens.data.texts import SEPARATOR
from tangentlens.errors import DataError, OptionError, nearest

NAMES = ("words", "whitespace", "characters")

_TAG = r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>"
_NO_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u30FC\uFF70"
_ALNUM = rf"[[\p{{L}}\p{{M}}\p{{N}}]&&[^{_NO_SPACES}]]+"
_INNER = r"(?:['’](?=\p{L})|(?<=\p{N})[.,](?=\p{N})|[\u200C\u200D]+)"
_CLUSTER = r"(?!\s)\X"  # what a reader sees as one character, such as an emoji with its modifiers
_PATTERNS = {
    "words": rf"{_TAG}|{_ALNUM}(?:{_INNER}{_ALNUM})*|{_CLUSTER}",
    "whitespace": r"[^\s\x1c-\x1f]+",  # str.split() also splits at the four ASCII separators
    "characters": r"(?m:.)",
}


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
            return cls(str(tokenizer), lowercase, separator)
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
        pattern = _PATTERNS[self.tokenizer]
        if self.tokenizer != "whitespace":
            separator = self.separator.lower() if self.lowercase else self.separator
            pattern = f"{re.escape(separator)}|{pattern}"
        if self.lowercase:
            made.normalizer = normalizers.Lowercase()
        made.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
        return made
