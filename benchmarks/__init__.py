"""How fast, how much memory: measured, written down with the machine, never asserted.

Command: python -m benchmarks
"""
