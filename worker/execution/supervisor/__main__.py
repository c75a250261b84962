"""Start the fork server under an interpreter without site-packages: ``python -I -S supervisor/__main__.py FD``.

Run as a file, so the packages above it are unknown: the folder that holds ``execution`` is added to the end of the
search path, where nothing in it can hide a module of the standard library.
"""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH100, PTH118

import importlib
import os
import sys

if __name__ == "__main__":
    sys.path.append(os.path.abspath(os.path.join(__file__, "..", "..", "..")))
    importlib.import_module("execution.supervisor.zygote").main()
