"""Errors that a user can act on: each is one sentence that names the thing, the value and the remedy.

Anything else that escapes is a defect of ours and keeps its traceback.
"""


class CorpusmillError(Exception):
    """A failure that is explained in one sentence; the command line prints it and exits with 1."""


class SettingError(CorpusmillError, ValueError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another; exit code 2."""


class InputError(CorpusmillError):
    """An input is missing, unreadable, truncated or not what its name says."""


class DataError(CorpusmillError):
    """A dataset of a run is damaged, incomplete, or was made from something else."""
