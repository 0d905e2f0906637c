"""Waits for work in the library: draws its progress, asks the user's metric, and lets Ctrl-C through."""

import atexit
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dnateq import _core

Progress = Callable[[str, int, int], None]
# Of model files: the metric's score, and one score a sample where it gives them.
Judge = Callable[[list[Path]], tuple[float, list[float]]]
_SECONDS_TO_STOP = 0.8
_running: list[_core.Work] = []
# Works whose threads are at their last step, with what these still use; Python waits for them when it ends.
_stopping: list[tuple[_core.Work, Any]] = []
_used = _forked = False  # has worked; worked before it was forked


_SECONDS_AT_EXIT = 60


@atexit.register
def _let_go() -> None:
    # Of daemon threads: one that Python ends within the library would abort the process.
    end = time.monotonic() + _SECONDS_AT_EXIT
    while _running and time.monotonic() < end:
        for work in list(_running):
            work.stop()
        time.sleep(0.05)
    while _stopping:
        _stopping.pop()


def _after_fork() -> None:
    """Threads do not survive a fork: whoever waited for the parent's in the child would wait forever."""
    global _forked
    _forked = _used
    for work in (*_running, *(work for work, _ in _stopping)):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(work))  # never destroyed here
    _running.clear()
    _stopping.clear()


os.register_at_fork(after_in_child=_after_fork)


def use() -> None:
    """Notes that this process has threads of the library. Raises RuntimeError in a fork of one that had."""
    global _used
    if _forked:
        raise RuntimeError("dnateq worked before this process was forked, and its threads are not here; start processes by "
                           "multiprocessing.get_context('spawn')")
    _used = True


class _Bars:
    """One tqdm bar a stage on terminals and in notebooks; elsewhere a quiet line a stage."""

    def __init__(self) -> None:
        from tqdm.auto import tqdm
        self._tqdm: Any = tqdm
        self._draws = sys.stderr.isatty() or "notebook" in tqdm.__module__
        self._bar: Any = None
        self._stage, self._start = "", 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage or (self._bar is not None and done < self._bar.n):
            self.close()
            self._stage, self._start = stage, time.monotonic()
            if self._draws:
                self._bar = self._tqdm(total=total, desc=stage, leave=False)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        elif done == total and self._stage:
            print(f"{stage}: {total} done in {time.monotonic() - self._start:.0f} s", file=sys.stderr)
            self._stage = ""

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _nothing(_stage: str, _done: int, _total: int) -> None:
    pass


def run(work: _core.Work, progress: bool | Progress, judge: Judge | None = None,
        keep: Any = None) -> Any:
    """The work's result. Raises what it, `judge` or `progress` raises, and KeyboardInterrupt; then the work stops.

    `keep`: what must live as long as the work's thread, such as the folder that it writes to.
    """
    bars = _Bars() if progress is True else None
    show: Progress = bars if bars is not None else progress if callable(progress) else _nothing
    while _stopping:  # an interrupted one may still write, perhaps to the same folder
        if _finished(_stopping[0][0], 0.1):
            _stopping.pop(0)
    _running.append(work)
    try:
        while True:
            news = work.wait(0.1)
            for stage, done, total in work.take_steps():
                show(stage, done, total)
            if news == _core.Work.News.FINISHED:
                return json.loads(work.result())
            if news == _core.Work.News.QUESTION:
                assert judge is not None
                work.answer(*judge(work.question()))
    except BaseException:
        if work in _running:  # not in a fork that the metric made
            _stop(work, keep)
        raise
    finally:
        if work in _running:
            _running.remove(work)
        if bars is not None:
            bars.close()


def _finished(work: _core.Work, seconds: float) -> bool:
    try:
        return bool(work.wait(seconds) == _core.Work.News.FINISHED)
    except Exception:  # Cancelled, or what is being raised already
        return True


def _stop(work: _core.Work, keep: Any) -> None:
    _stopping.append((work, keep))  # first: a second Ctrl-C may come while we wait
    work.stop()
    end = time.monotonic() + _SECONDS_TO_STOP
    while not _finished(work, 0.05) and time.monotonic() < end:
        pass
    _stopping[:] = [entry for entry in _stopping if not _finished(entry[0], 0)]
