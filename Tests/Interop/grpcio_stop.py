"""Calls two servers without a pause while one of them stops, with the retries that gRPC's service config has."""

import json
import sys

import grpc
from steady_calls import SteadyCalls

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
with SteadyCalls(channel, threads=4, begun=50):
    sys.stdin.readline()
