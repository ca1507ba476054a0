"""Workers: numbered batches of any task, run by other processes.

Knows concurrent.futures, cloudpickle and how many threads torch takes; nothing of programs, particles or
files.

=====================  ===============================================================================
executors.py           what a user gives: checked, and how many batches it takes at a time
lanes.py               one executor with the batches that it runs, made again when it breaks
batches.py             the driver: what is submitted next, and what becomes of what comes back
payload.py             the task as bytes, and what is wrong with one that cannot be sent or is large
inside.py              what a variable, an attribute or an item of an object is, for messages
worker.py              what runs in a worker
=====================  ===============================================================================
"""

from arviz_resampler.workers.batches import run_batches
from arviz_resampler.workers.executors import Executors, Workers, as_workers

__all__ = ["Executors", "Workers", "as_workers", "run_batches"]
