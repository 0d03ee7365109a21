"""What a run runs with, found out beside it: nobody waits for git or the list of packages."""

from __future__ import annotations

import threading
from pathlib import Path

from everloop.sdk.recording.spool import Spool
from everloop.sdk.recording.warn import Warner
from everloop.sdk.recording.writer import Writer
from everloop.tracking.journals.records import Captured


class Capture(threading.Thread):
    """Writes the state of the code and the environment to the journal, as soon as it is known."""

    def __init__(self, writer: Writer, spool: Spool, warn: Warner) -> None:
        super().__init__(name="everloop-capture", daemon=True)
        self._writer = writer
        self._spool = spool
        self._warn = warn
        self._folder = Path.cwd()

    def run(self) -> None:
        """Find it out, and write it."""
        from everloop.datasets.workspace.revision import Code, code_of
        from everloop.tracking.environment import capture

        try:
            code = code_of(self._folder)
            difference = self._spool.keep(code.difference)[0] if code.difference else ""
        except Exception as error:  # noqa: BLE001 - a repository may be in any state; the run goes on without it
            code, difference = Code(), ""
            self._warn("code", f"The state of the code in {self._folder} could not be read: {error}.")
        environment = capture()
        self._writer.write(Captured(environment, code.revision, code.branch, code.dirty, difference))
