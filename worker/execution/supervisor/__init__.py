"""The processes that own running scripts: a fork server and its supervisors.

They run under an interpreter of their own without site-packages, so a module here imports only the standard
library and its neighbours, and no ``pathlib``: it costs every supervisor 0.7 MB.
"""
