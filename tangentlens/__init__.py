"""TangentLens: which features a text network will learn from your data, said before it is trained."""

__version__ = "0.1.0"
