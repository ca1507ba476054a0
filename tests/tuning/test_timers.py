"""Calls after a while."""

import asyncio

from arviz_resampler.tuning.timers import Timers, running_loop


def test_without_an_event_loop_a_call_is_made_at_once():
    made = []
    assert running_loop() is None
    Timers().later("a", 10.0, lambda: made.append("a"))
    assert made == ["a"]


def test_a_call_that_waits_is_kept_or_put_off_and_names_do_not_know_each_other():
    async def wait():
        made = []
        timers = Timers()
        for keep in (True, False):
            timers.later("kept", 0.0, lambda keep=keep: made.append(("kept", keep)), keep=True)
            timers.later("put off", 0.0, lambda keep=keep: made.append(("put off", keep)))
        assert made == []
        await asyncio.sleep(0.01)
        assert sorted(made) == [("kept", True), ("put off", False)]
        assert timers.waiting == {}

    asyncio.run(wait())


def test_after_a_close_nothing_is_called():
    async def wait():
        made = []
        timers = Timers()
        timers.later("a", 0.0, lambda: made.append("a"))
        timers.close()
        timers.later("b", 0.0, lambda: made.append("b"))
        await asyncio.sleep(0.01)
        assert made == []

    asyncio.run(wait())
