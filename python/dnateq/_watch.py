"""Waits for work in the library: draws its progress, asks the user's metric, and lets Ctrl-C through."""

import atexit
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dnateq import _core

Progress = Callable[[str, int, int], None]
_SECONDS_TO_STOP = 0.8
_stopping: list[_core.Work] = []  # whose threads are at their last step; Python waits for them when it ends


@atexit.register
def _let_go() -> None:
    _stopping.clear()


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


def run(work: _core.Work, progress: bool | Progress, judge: Callable[[list[Path]], float] | None = None) -> Any:
    """The work's result. Raises what it, `judge` or `progress` raises, and KeyboardInterrupt; then the work stops."""
    bars = _Bars() if progress is True else None
    show: Progress = bars if bars is not None else progress if callable(progress) else _nothing
    try:
        while True:
            news = work.wait(0.1)
            for stage, done, total in work.take_steps():
                show(stage, done, total)
            if news == _core.Work.News.FINISHED:
                return json.loads(work.result())
            if news == _core.Work.News.QUESTION:
                assert judge is not None
                work.answer(judge(work.question()))
    except BaseException:
        _stop(work)
        raise
    finally:
        if bars is not None:
            bars.close()


def _stop(work: _core.Work) -> None:
    work.stop()
    end = time.monotonic() + _SECONDS_TO_STOP
    try:
        while time.monotonic() < end:
            if work.wait(0.05) == _core.Work.News.FINISHED:
                return
    except Exception:  # Cancelled, or what is being raised already
        return
    _stopping.append(work)
