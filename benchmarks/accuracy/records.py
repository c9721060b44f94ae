"""The file of a run: lines of JSON, one for each start and one for each fit.

A line is written when its fit has ended, so that a run that is killed goes on where it
was when it is started again with the same file.
"""

import json
import os
from pathlib import Path

#: Settings that all fits of a file share.
SHARED = ("rows", "threads")


class Records:
    """Fits that have been made, and the file that they are in.

    Parameters
    ----------
    path : str, Path or None
        None for a run that is kept nowhere.

    Attributes
    ----------
    runs : list of dict
        What each start of the run was measured on and with.
    fits : dict
        Of (table, model, split) to a record.
    """

    def __init__(self, path=None):
        self.path = path and Path(path)
        self.runs, self.fits = [], {}
        if self.path and self.path.exists():
            for line in self._whole_lines():
                self._take(json.loads(line))

    def _whole_lines(self):
        """Lines of the file; one that a kill has cut is taken away."""
        text = self.path.read_text()
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            with open(self.path, "r+") as file:
                file.truncate(len(whole.encode()))
        return whole.splitlines()

    def _take(self, record):
        if "machine" in record:
            self.runs.append(record)
        else:
            self.fits[record["table"], record["model"], record["split"]] = record

    def begin(self, run):
        """Add a start.

        Raises
        ------
        ValueError
            The file's fits are of other settings.
        """
        for name in SHARED if self.runs else ():
            known = self.runs[0][name]
            if run[name] != known:
                raise ValueError(
                    f"{self.path} has fits with {known} {name}, not {run[name]}: give "
                    "another file"
                )
        self.add(run)

    def add(self, record):
        """Keep a record, and write it at once."""
        self._take(record)
        if self.path:
            with open(self.path, "a") as file:
                file.write(json.dumps(rounded(record)) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def models(self):
        """Names of the models that have been tried."""
        return list(dict.fromkeys(model for _, model, _ in self.fits))

    def failed(self):
        """Keys of the fits that have failed."""
        return [key for key, record in self.fits.items() if "failed" in record]


def rounded(value):
    """Numbers with six digits, in lists and dicts, too."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value
