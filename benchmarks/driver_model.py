"""What a driver and its actors do with their time: a simulation of an ingest on a cluster, event by event."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

AHEAD = 2
"""Windows that an actor holds: one is embedded while the next one waits for the driver's answer."""


@dataclass(frozen=True)
class Actors:
    """How many, and how good.

    Attributes
    ----------
    count
        Actors.
    rate
        Images a second of one, from reading to the fragment on the disk.
    window
        Images that it asks about at once, and loses when it dies.
    start
        Seconds until one that was lost is replaced and has loaded the model.
    deaths
        Of each actor, per hour.
    """

    count: int
    rate: float
    window: int = 1024
    start: float = 60.0
    deaths: float = 0.0


@dataclass(frozen=True)
class Costs:
    """Seconds of the driver, as `benchmarks/cluster_plan.py --measure` finds them: here on two busy cores.

    Attributes
    ----------
    window
        To look up the images of a window and answer.
    commit, fragment, row
        Of a commit, for each of its fragments and for each of its rows.
    held
        Of a commit, for each fragment that the table has: Lance writes the list of all.
    compaction, indexed
        For each row since the last compaction, which is written again, and for each row whose id is put into the index
        of ids.
    """

    window: float = 0.04
    commit: float = 0.09
    fragment: float = 1.5e-3
    row: float = 8e-6
    held: float = 1e-4
    compaction: float = 9e-5
    indexed: float = 2e-6


@dataclass(frozen=True)
class Rules:
    """When the driver commits, and after how many commits it compacts.

    It commits after so many seconds, or when so many images wait and the last commit's time has passed ``pause`` times.
    A compaction leaves fragments of so many rows, and adds a segment to the index of ids, or makes one of so many.
    """

    seconds: float = 5.0
    images: int = 4096
    pause: float = 10.0
    compact_every: int = 64
    segments: int = 16
    fragment_rows: int = 2**15


@dataclass
class Outcome:
    """What came of it.

    Attributes
    ----------
    seconds
        Until the last commit and compaction.
    busy
        Share of that in which the driver worked.
    compacting
        Share in which it compacted.
    commits, compactions, deaths, redone
        How many, and how many images were embedded in vain.
    """

    seconds: float = 0.0
    busy: float = 0.0
    compacting: float = 0.0
    commits: int = 0
    compactions: int = 0
    deaths: int = 0
    redone: int = 0


@dataclass
class _Driver:
    """One process that does one thing after the other."""

    costs: Costs
    rules: Rules
    outcome: Outcome
    free: float = 0.0
    worked: float = 0.0
    compacted: float = 0.0
    committed_at: float = 0.0
    commit_seconds: float = 0.0
    waiting: list[int] = field(default_factory=list)
    held: int = 0
    rows: int = 0
    new: int = 0
    since: int = 0
    segments: int = 0

    def spend(self, now: float, seconds: float) -> float:
        self.free = max(now, self.free) + seconds
        self.worked += seconds
        return self.free

    def take(self, now: float, images: int, asked: bool) -> float:
        """Take a fragment, answer for a window if one is asked for, and commit if it is time; return when it did."""
        answered = self.spend(now, self.costs.window if asked else 0.0)
        self.waiting.append(images)
        passed, full = self.free - self.committed_at, sum(self.waiting) >= self.rules.images
        if passed > self.rules.seconds or (full and passed > self.rules.pause * self.commit_seconds):
            self.commit(now)
        return answered

    def commit(self, now: float) -> None:
        c, rows, fragments = self.costs, sum(self.waiting), len(self.waiting)
        self.commit_seconds = c.commit + c.fragment * fragments + c.row * rows + c.held * self.held
        self.spend(now, self.commit_seconds)
        self.held, self.rows, self.new = self.held + fragments, self.rows + rows, self.new + rows
        self.waiting, self.committed_at = [], self.free
        self.outcome.commits += 1
        self.since += 1
        if self.since >= self.rules.compact_every:
            self.compact(now)

    def compact(self, now: float) -> None:
        merges = self.segments == self.rules.segments
        self.segments = 1 if merges else self.segments + 1
        seconds = self.costs.compaction * self.new + self.costs.indexed * (self.rows if merges else self.new)
        self.spend(now, seconds)
        self.compacted += seconds
        self.held, self.new, self.since = 1 + self.rows // self.rules.fragment_rows, 0, 0
        self.outcome.compactions += 1


def simulate(images: int, actors: Actors, costs: Costs, rules: Rules | None = None, seed: int = 0) -> Outcome:
    """Embed so many images.

    Every window takes ``window / rate`` seconds, give or take a tenth. Deaths come at random, at any moment; what an
    actor was embedding is handed out again.
    """
    rng, outcome = random.Random(seed), Outcome()
    driver = _Driver(costs, rules or Rules(), outcome)
    left = images
    events: list[tuple[float, int, int, float]] = []  # when a window ends, whose, its images, when the next may begin
    lasts = actors.window / actors.rate
    for one in range(min(actors.count, -(-images // actors.window))):
        size = min(actors.window, left)
        left -= size
        heapq.heappush(events, (driver.spend(0.0, costs.window) + lasts * rng.uniform(0.9, 1.1), one, size, 0.0))
    while events:
        now, one, size, answered = heapq.heappop(events)
        if rng.random() < actors.deaths / 3600 * lasts:
            outcome.deaths += 1
            outcome.redone += size
            heapq.heappush(events, (now + actors.start + lasts * rng.uniform(0.9, 1.1), one, size, 0.0))
            continue
        # The answer for the window after this one was asked for when this one began.
        begins = max(now, answered)
        answered = driver.take(now, size, left > 0)
        if left:
            size = min(actors.window, left)
            left -= size
            heapq.heappush(events, (begins + lasts * rng.uniform(0.9, 1.1), one, size, answered))
        else:
            outcome.seconds = now
    if driver.waiting:
        driver.commit(outcome.seconds)
    if driver.since:
        driver.compact(outcome.seconds)
    outcome.seconds = max(outcome.seconds, driver.free)
    outcome.busy = driver.worked / outcome.seconds
    outcome.compacting = driver.compacted / outcome.seconds
    return outcome
