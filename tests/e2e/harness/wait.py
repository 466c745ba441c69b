"""Waiting for what must become true, with a deadline and a reason."""
import time


def until(what, seconds, is_true, pause=0.1):
    """Asks until the answer is neither None nor False, and returns it. `what` is the complaint's subject."""
    deadline = time.monotonic() + seconds
    while True:
        answer = is_true()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s still waiting for {what}")
        time.sleep(pause)
