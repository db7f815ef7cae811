"""When a client asks a silent server for a sign of life, and when it gives it up. Pure: times come in, in seconds of one clock."""

from typing import Optional

from .options import Options


class Keepalive:
    """`busy` says whether the server owes something: the answer to a call, a BIND or a PING of the caller's."""

    def __init__(self, options: Options) -> None:
        self._busy_silence, self._idle_answer = options.keepalive, options.ping_timeout
        #: Silence that is borne without calls in flight; 0 for any.
        self.idle_silence = options.ping_interval
        self.last_received = self.busy_since = 0.0
        #: The PING that a silent server has to answer, and when it was sent.
        self.probe: Optional[tuple[int, float]] = None

    def answer_max(self, busy: bool) -> float:
        """How long a PING may stay without an answer, 0 for ever."""
        return self._shorter(self._idle_answer, busy)

    def due(self, busy: bool) -> Optional[float]:
        """When to look again, None for never."""
        if self.probe is not None:
            answer = self.answer_max(busy)
            return self.probe[1] + answer if answer else None
        silence = self._shorter(self.idle_silence, busy)
        return max(self.last_received, self.busy_since if busy else 0.0) + silence if silence else None

    def _shorter(self, seconds: float, busy: bool) -> float:
        if not busy or not self._busy_silence:
            return seconds
        return min(seconds, self._busy_silence) if seconds else self._busy_silence
