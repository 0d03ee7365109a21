"""Who works on the parts of a batch: threads of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from everloop.serving.batch.entities import PartDone
from everloop.serving.batch.parts import Part

Work = Callable[[Part], PartDone]
"""Reads, predicts and writes a part, whole or not at all."""


class Threads:
    """Threads of this process: reading, trees and writing all let go of Python's lock."""

    def run(self, parts: Iterable[Part], work: Work, workers: int) -> Iterator[PartDone]:
        """Each thread does a part from its beginning to its end, so reading, predicting and writing overlap."""
        coming = iter(parts)
        with ThreadPoolExecutor(workers, thread_name_prefix="predict") as pool:
            running: set[Future[PartDone]] = {pool.submit(work, part) for part in islice(coming, workers + 1)}
            try:
                while running:
                    ended, running = wait(running, return_when=FIRST_COMPLETED)
                    for one in ended:
                        yield one.result()
                    running |= {pool.submit(work, part) for part in islice(coming, len(ended))}
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
