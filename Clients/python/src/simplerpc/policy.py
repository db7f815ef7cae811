"""When a failed call is tried again, and where. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, TypeVar

from .errors import ResourceExhausted, RPCError, Unavailable

#: Times that a call may move on because it certainly never reached a procedure, before that is an error.
MOVES_MAX = 8
#: Attempts that a policy may ask for.
ATTEMPTS_MAX = 16


@dataclass(frozen=True)
class Backoff:
    """Pauses in seconds that grow, each with a random share so that many clients do not come back at once."""

    initial: float = 0.02
    maximum: float = 1.0
    multiplier: float = 2.0
    jitter: float = 0.2

    def pause(self, retry: int, chance: float) -> float:
        """Before repetition number `retry`, from 1; `chance` is from 0 to 1."""
        longest = min(self.initial * self.multiplier ** min(max(retry, 1) - 1, 64), self.maximum)
        return longest * (1 + self.jitter * (2 * chance - 1))


@dataclass(frozen=True)
class RetryPolicy:
    """How often a call is tried in all. A call is repeated only where the server cannot have executed it, or where its procedure
    is declared idempotent and `repeat_idempotent` allows it."""

    attempts: int = 3
    repeat_idempotent: bool = False
    backoff: Backoff = Backoff()

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= ATTEMPTS_MAX:
            raise ValueError(f"{self.attempts} attempts: from 1 to {ATTEMPTS_MAX}")


#: One attempt; a call that certainly never reached a procedure still moves to another server.
NO_RETRY = RetryPolicy(attempts=1)
#: Pauses between attempts to connect to a server.
RECONNECT = Backoff(0.05, 5.0, 1.6)


class History:
    """What is known of a call from its attempts so far."""

    __slots__ = ("policy", "attempts", "moves", "may_have_executed", "last_error", "failed_at")

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self.attempts = self.moves = 0
        self.may_have_executed = False
        self.last_error: Optional[RPCError] = None
        #: The name of the server that failed last.
        self.failed_at: Optional[str] = None

    def failed(
        self,
        error: RPCError,
        *,
        never_began: bool = False,
        idempotent: bool = False,
        alternative: bool = False,
        server_pause: float = 0.0,
        remaining: Optional[float] = None,
        chance: Optional[float] = None,
    ) -> Optional[float]:
        """An attempt failed: after how many seconds to make another, None for never.

        `alternative` says that a provider is there that has not just failed, `server_pause` how long the one that failed may not
        be tried again at all, and `remaining` how much time the call has.
        """
        self.last_error = error
        if error.executed == "maybe":
            self.may_have_executed = True
        unavailable = isinstance(error, Unavailable)
        # Without a hint when, an exhausted resource is a limit that the call itself is beyond.
        if not unavailable and not (isinstance(error, ResourceExhausted) and error.retry_after_ms is not None):
            return None
        cannot_have_run = error.executed == "no"
        if not cannot_have_run and not (idempotent and self.policy.repeat_idempotent):
            return None
        if cannot_have_run and (never_began or unavailable and alternative):
            pause = 0.0 if alternative else server_pause
            if self.moves < MOVES_MAX and pause <= self.policy.backoff.maximum and (remaining is None or pause < remaining):
                self.moves += 1
                return pause
            if never_began:
                return None
        self.attempts += 1
        if self.attempts >= self.policy.attempts:
            return None
        backoff = self.policy.backoff
        pause = backoff.pause(self.attempts, random.random() if chance is None else chance)
        if alternative and unavailable:
            pause = 0.0
        else:
            wanted = max(server_pause, (error.retry_after_ms or 0) / 1000)
            # Better to fail now than to keep the caller longer than the policy ever would.
            if wanted > backoff.maximum:
                return None
            pause = max(pause, wanted)
        # A pause that outlasts the deadline would only hide the reason.
        if remaining is not None and pause >= remaining:
            return None
        return pause

    def final(self, error: RPCError) -> RPCError:
        """An error as the caller is told it, seen over all attempts."""
        if self.may_have_executed and error.executed == "no":
            error.executed = "maybe"
            error.message += "; an earlier attempt may have been executed"
            error.args = (error.message,)
        return error


Candidate = TypeVar("Candidate")


def choose(
    candidates: Sequence[Candidate],
    rank: Callable[[Candidate], tuple[int, int]],
    sample: Callable[[Sequence[Any], int], Sequence[Any]] = random.sample,
) -> Candidate:
    """The provider for a call: of two random ones among the healthiest the one with fewer calls in flight.

    `rank` is how healthy a provider is, best lowest, and how many calls it has.
    """
    if len(candidates) == 1:
        return candidates[0]
    ranked = [(rank(each), each) for each in candidates]
    best = min(health for (health, _), _ in ranked)
    healthy = [(load, each) for (health, load), each in ranked if health == best]
    if len(healthy) == 1:
        return healthy[0][1]
    pair: Sequence[tuple[int, Candidate]] = sample(healthy, 2)
    return min(pair, key=lambda each: each[0])[1]
