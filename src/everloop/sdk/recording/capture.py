"""What a run runs with, found out beside it: nobody waits for git or the list of packages."""

from __future__ import annotations

import threading
from pathlib import Path

from everloop.sdk.recording.spool import Spool
from everloop.sdk.recording.warn import Warner
from everloop.sdk.recording.writer import Writer
from everloop.tracking.journals.records import Captured


class Capture(threading.Thread):
    """Writes the state of the code and the environment to the journal, as soon as it is known.

    A run inside of another one of this process runs in what that does: nobody looks again.
    """

    def __init__(self, writer: Writer, spool: Spool, warn: Warner, outer: Capture | None = None) -> None:
        super().__init__(name="everloop-capture", daemon=True)
        self._writer = writer
        self._spool = spool
        self._warn = warn
        self._folder = Path.cwd()
        self._outer = outer
        self.found: Captured | None = None

    def run(self) -> None:
        """Find it out, and write it."""
        self.found = self._known() or self._look()
        self._writer.write(self.found)

    def _known(self) -> Captured | None:
        """What the run around this one found in the same folder, with its copy of what is not committed."""
        outer = self._outer
        if outer is None or outer.found is None or outer._folder != self._folder:
            return None
        copy = outer._spool.path(outer.found.difference) if outer.found.difference else None
        if copy is not None:
            self._spool.keep(copy)
        return outer.found if copy is not None or not outer.found.difference else None

    def _look(self) -> Captured:
        from everloop.datasets.workspace.revision import Code, code_of
        from everloop.tracking.environment import capture

        try:
            code = code_of(self._folder)
            difference = self._spool.keep(code.difference)[0] if code.difference else ""
        except Exception as error:  # noqa: BLE001 - a repository may be in any state; the run goes on without it
            code, difference = Code(), ""
            self._warn("code", f"The state of the code in {self._folder} could not be read: {error}.")
        return Captured(capture(), code.revision, code.branch, code.dirty, difference)
