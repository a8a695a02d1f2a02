"""Tells a job that hangs from one that is slow: by receipts, and by the processor time that its workers use.

A worker that computes, however long on one record, uses processor time or comes to the next record; one that waits for
ever does neither, and one that died says nothing more. Some engines never notice either, and a person cannot tell from the outside.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline import heartbeat, steps
from pipeline.heartbeat import Sign

# A worker at work uses more of a processor than this; its threads that merely wait for messages use less.
_BUSY_SHARE = 0.01
_LOOKS = 20
_PAUSES = 20


@dataclass(kw_only=True)
class Watchdog:
    """Watches one attempt; `look` answers with a sentence once nothing has gone on for `limit_seconds`."""

    attempt_folder: str
    limit_seconds: float
    clock: Callable[[], float] = time.monotonic
    _receipts: set[str] = field(default_factory=set)
    _marks: dict[str, tuple[float, str]] = field(default_factory=dict)
    _last_sign: float | None = None
    _next_look: float = 0.0

    def look(self) -> str | None:
        """None while there are signs of life, or while it is too early to look again."""
        now = self.clock()
        if self._last_sign is None:
            self._last_sign = now
        if now < self._next_look:
            return None
        signs = heartbeat.signs(self.attempt_folder)
        if self._finished_shards() | self._works(signs, now - self._last_sign):
            self._last_sign = now
        took = self.clock() - now  # there may be many receipts, or a slow store
        self._next_look = now + max(min(self.limit_seconds / _LOOKS, 5.0), _PAUSES * took)
        if now - self._last_sign < self.limit_seconds:
            return None
        return f"nothing has gone on for {now - self._last_sign:.0f} s{whereabouts(signs)}; the same command goes on from here"

    def _finished_shards(self) -> bool:
        return any(True for _ in list(steps.new_receipts(self.attempt_folder, self._receipts)))

    def _works(self, signs: Mapping[str, Sign], seconds: float) -> bool:
        """Whether a shard is new, at another record, or its worker has used processor time since the last sign of life."""
        fresh = False
        for shard, sign in signs.items():
            before, record = self._marks.get(shard, (-1.0, ""))
            used = sign.cpu_seconds - before
            if shard not in self._marks or sign.record != record or used < 0 or used > _BUSY_SHARE * max(seconds, 1.0):
                self._marks[shard] = (sign.cpu_seconds, sign.record)
                fresh = True
        return fresh


def whereabouts(signs: Mapping[str, Sign]) -> str:
    """The shards that were under way and their records, for the end of a sentence; empty if there were none."""
    if not signs:
        return ""
    places = [f"shard {shard}{f' at {sign.record}' if sign.record else ''}" for shard, sign in sorted(signs.items())]
    more = f" and {len(places) - 4} more" if len(places) > 4 else ""
    return f" (under way: {', '.join(places[:4])}{more})"
