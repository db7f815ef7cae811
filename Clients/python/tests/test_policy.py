"""When a call is tried again, and where."""

import random
import unittest

import support  # noqa: F401

from simplerpc.errors import (
    DeadlineExceeded,
    ExecutionException,
    InvalidArguments,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)  # fmt: skip
from simplerpc.policy import MOVES_MAX, NO_RETRY, Backoff, History, RetryPolicy, choose

SLOW = Backoff(0.1, 1.0, 2.0, 0.0)


def unavailable(executed="no"):
    return Unavailable("away", executed=executed)


class Policy(unittest.TestCase):
    def test_a_table_of_what_follows_from_one_failure(self):
        three, bold = RetryPolicy(3, backoff=SLOW), RetryPolicy(3, True, SLOW)
        hint = ResourceExhausted("busy", retry_after_ms=300)
        for policy, error, facts, wanted in [
            (three, unavailable(), {}, 0.1),
            (three, unavailable(), {"alternative": True}, 0.0),
            (three, unavailable("maybe"), {"alternative": True}, None),
            (three, unavailable("maybe"), {"alternative": True, "idempotent": True}, None),
            (bold, unavailable("maybe"), {"alternative": True}, None),
            (bold, unavailable("maybe"), {"idempotent": True}, 0.1),
            (bold, unavailable("maybe"), {"idempotent": True, "alternative": True}, 0.0),
            (bold, unavailable("yes"), {"idempotent": True}, 0.1),
            (NO_RETRY, unavailable(), {}, None),
            (NO_RETRY, unavailable(), {"alternative": True}, 0.0),
            (NO_RETRY, unavailable(), {"never_began": True}, 0.0),
            (three, unavailable(), {"never_began": True, "server_pause": 0.4}, 0.4),
            (three, unavailable(), {"never_began": True, "server_pause": 1.4}, None),
            (three, unavailable(), {"server_pause": 0.4}, 0.4),
            (three, unavailable(), {"server_pause": 1.4}, None),
            (three, unavailable(), {"remaining": 0.1}, None),
            (three, unavailable(), {"remaining": 0.11}, 0.1),
            (three, hint, {}, 0.3),
            (three, hint, {"alternative": True}, 0.3),
            (three, ResourceExhausted("too large"), {}, None),
            (bold, ExecutionException("raised"), {"idempotent": True}, None),
            (bold, DeadlineExceeded("late"), {"idempotent": True}, None),
            (bold, InvalidArguments("no"), {"alternative": True}, None),
            (bold, Unauthenticated("who"), {"alternative": True}, None),
        ]:
            history = History(policy)
            self.assertEqual(history.failed(error, chance=0.5, **facts), wanted, (error, facts))

    def test_attempts_are_counted_and_moves_are_not_for_ever(self):
        history = History(RetryPolicy(3, backoff=SLOW))
        self.assertEqual([history.failed(unavailable(), chance=0.5) for _ in range(3)], [0.1, 0.2, None])
        history = History(RetryPolicy(2, backoff=SLOW))
        moves = [history.failed(unavailable(), alternative=True, chance=0.5) for _ in range(MOVES_MAX + 2)]
        self.assertEqual(moves, [0.0] * (MOVES_MAX + 1) + [None])
        history = History(RetryPolicy(2, backoff=SLOW))
        moves = [history.failed(unavailable(), never_began=True, chance=0.5) for _ in range(MOVES_MAX + 1)]
        self.assertEqual(moves, [0.0] * MOVES_MAX + [None])

    def test_an_attempt_that_may_have_been_executed_is_never_forgotten(self):
        history = History(RetryPolicy(3, True))
        history.failed(unavailable("maybe"), idempotent=True)
        error = history.final(InvalidArguments("changed"))
        self.assertEqual(error.executed, "maybe")
        self.assertIn("an earlier attempt may have been executed", str(error))
        self.assertEqual(history.final(ExecutionException("x")).executed, "yes")

    def test_pauses_grow_to_a_bound_and_vary(self):
        backoff = Backoff(0.02, 1.0, 2.0, 0.2)
        self.assertEqual([round(backoff.pause(n, 0.5), 3) for n in (1, 2, 3, 7, 90)], [0.02, 0.04, 0.08, 1.0, 1.0])
        self.assertAlmostEqual(backoff.pause(1, 0.0), 0.016)
        self.assertAlmostEqual(backoff.pause(1, 1.0), 0.024)
        self.assertRaises(ValueError, RetryPolicy, 0)
        self.assertRaises(ValueError, RetryPolicy, 17)

    def test_the_healthier_provider_is_chosen_and_of_two_random_ones_that_with_fewer_calls(self):
        chance = random.Random(1)
        ranks = {"a": (0, 5), "b": (0, 1), "c": (0, 9), "down": (4, 0)}
        chosen = [choose(list(ranks), ranks.__getitem__, chance.sample) for _ in range(3000)]
        # b wins each of its two pairs of three, a one, c none.
        self.assertEqual(set(chosen), {"a", "b"})
        self.assertTrue(1800 < chosen.count("b") < 2200, chosen.count("b"))
        self.assertEqual(choose(["down"], ranks.__getitem__), "down")
        equal = [choose(["x", "y"], lambda _: (0, 0), chance.sample) for _ in range(1000)]
        self.assertTrue(400 < equal.count("x") < 600, equal.count("x"))


if __name__ == "__main__":
    unittest.main()
