"""Answers to terminal tables (`print_report`) and one self-contained HTML page (`write_page`)."""

from tangentlens.report.content import ArchitectureAnswer, ComparedAnswer, DataGlance, Report, VerifiedAnswer
from tangentlens.report.page import write_page
from tangentlens.report.spectra import spectrum_page
from tangentlens.report.terminal import print_comparison, print_report, print_spectra

__all__ = ["ArchitectureAnswer", "ComparedAnswer", "DataGlance", "Report", "VerifiedAnswer", "print_comparison",
           "print_report", "print_spectra", "spectrum_page", "write_page"]
