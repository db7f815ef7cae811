"""Calls two servers without a pause while one of them stops, with the retries that gRPC's service config has."""

import json
import sys
import threading

import grpc

policy = {
    "methodConfig": [{
        "name": [{}],
        "retryPolicy": {
            "maxAttempts": 5, "initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        },
    }],
    "loadBalancingConfig": [{"round_robin": {}}],
}
addresses = ",".join(f"127.0.0.1:{port}" for port in sys.argv[1:])
channel = grpc.insecure_channel(f"ipv4:{addresses}", options=[("grpc.service_config", json.dumps(policy))])
add = channel.unary_unary("/test/add")
failed, count, over = [], [0], threading.Event()


def calls():
    while not over.is_set():
        try:
            assert add(b"\x08\x01\x10\x02", timeout=30) == b"\x08\x03"
            count[0] += 1
            if count[0] == 50:
                print("calling", flush=True)
        except Exception as error:
            failed.append(error)


threads = [threading.Thread(target=calls) for _ in range(4)]
for thread in threads:
    thread.start()
sys.stdin.readline()
over.set()
for thread in threads:
    thread.join()
if failed:
    raise SystemExit(f"{len(failed)} of {count[0]} calls failed, the first: {failed[0]}")
