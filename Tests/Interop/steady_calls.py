"""Calls of add without a pause while something else happens."""

import threading


class SteadyCalls:
    """Calls from as many threads as given until the block ends, which fails where a call did. Says "calling" once
    `begun` calls were answered."""

    def __init__(self, channel, threads, begun):
        self.add = channel.unary_unary("/test/add")
        self.begun = begun
        self.failed, self.count, self.over = [], 0, threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.call) for _ in range(threads)]

    def call(self):
        while not self.over.is_set():
            try:
                assert self.add(b"\x08\x01\x10\x02", timeout=30) == b"\x08\x03"
            except Exception as error:
                self.failed.append(error)
                continue
            with self.lock:
                self.count += 1
                if self.count == self.begun:
                    print("calling", flush=True)

    def __enter__(self):
        for thread in self.threads:
            thread.start()

    def __exit__(self, kind, error, trace):
        self.over.set()
        for thread in self.threads:
            thread.join()
        if kind is None and self.failed:
            raise SystemExit(f"{len(self.failed)} calls failed, {self.count} did not, the first: {self.failed[0]}")
