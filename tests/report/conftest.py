"""Reports to show, with two, five and twenty classes; see hostile.py."""

from __future__ import annotations

import pytest
from hostile import make_report

from tangentlens.report.content import Report


@pytest.fixture(params=[2, 5, 20], ids=["2 classes", "5 classes", "20 classes"])
def report(request: pytest.FixtureRequest) -> Report:
    names = ["<b>negative</b>", "</script>positive", "\x1b[32mgreen", "a'b\"c", *(f"topic {i}" for i in range(16))]
    return make_report(names[: request.param], architectures=min(8, request.param))


@pytest.fixture
def verified_report(report: Report) -> Report:
    """The same with networks that were trained, for two of the architectures."""
    names = [str(name) for name in report.data.classes["class"]]
    return make_report(names, architectures=len(report.architectures), verified=2)


@pytest.fixture
def compared_report(report: Report) -> Report:
    """The same with what sets the architectures apart."""
    names = [str(name) for name in report.data.classes["class"]]
    return make_report(names, architectures=len(report.architectures), compared=True)


@pytest.fixture
def two_classes() -> Report:
    return make_report(["<b>negative</b>", "</script>positive"])
