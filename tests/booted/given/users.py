"""Asks through the load balancer without pause; what fails is written down."""

import http.client
import sys
import time
from pathlib import Path

asked, failed = 0, 0
while not Path("/run/users.stop").exists():
    try:
        connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=5)
        connection.request("GET", "/healthz")
        good = connection.getresponse().status == 200
        connection.close()
    except OSError:
        good = False
    asked, failed = asked + 1, failed + (not good)
    if not good:
        print("failed at", time.time(), flush=True)
    time.sleep(0.01)
print("users", "asked" if asked > 500 else "asked too little", "failed", failed, flush=True)
sys.exit(failed > 0)
