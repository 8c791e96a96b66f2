"""One script per claim; each prints its table and writes it to reproduce/results. See reproduce/README.md.

Command: python -m reproduce.sst_label_scores
"""
