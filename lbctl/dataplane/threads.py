"""Threads for the files of load balancers, and for nothing else.

The threads of the event loop are for everybody: names that nobody answers for, a config on a disk that hangs, may hold
all of them for minutes. A way back that is a file, as Envoy's, must not wait behind those.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Found = TypeVar("Found")

THREADS_MAX = 64
"""An instance writes one file at a time: so many may hang before one more waits. They are started when needed."""
_THREADS = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="balancer-files")


async def beside(work: Callable[Given, Found], *given: Given.args, **named: Given.kwargs) -> Found:
    """Do `work` in one of these threads. A cancellation stops the waiting, not the work."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, lambda: work(*given, **named))
