"""Texts → tokens: read labelled texts or a corpus, cut them into tokens, number the tokens, hold some texts out."""

from tangentlens.data.contexts import Contexts
from tangentlens.data.corpus import Corpus, read_corpus
from tangentlens.data.demo import movie_reviews
from tangentlens.data.grammar import small_reviews
from tangentlens.data.negation import Negations, negations
from tangentlens.data.reading import read_texts
from tangentlens.data.scanning import Scan, scan_texts
from tangentlens.data.splits import split
from tangentlens.data.texts import Texts
from tangentlens.data.tokenizing import tokenize
from tangentlens.data.tokens import Tokens, Vocabulary

__all__ = ["Contexts", "Corpus", "Negations", "Scan", "Texts", "Tokens", "Vocabulary", "movie_reviews", "negations",
           "read_corpus", "read_texts", "scan_texts", "small_reviews", "split", "tokenize"]
