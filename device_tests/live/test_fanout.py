"""One producer, many consumers, none of which holds it up."""

from __future__ import annotations

import threading
import time

import pytest

from edgecl.live.fanout import Fanout, GoneError, Mailbox, undelivered


def test_a_full_mailbox_drops_its_oldest_and_counts_it() -> None:
    mailbox: Mailbox[int] = Mailbox("slow", capacity=3)
    for number in range(5):
        mailbox.put(number)
    assert [mailbox.get(0), mailbox.get(0), mailbox.get(0), mailbox.get(0)] == [2, 3, 4, None]
    assert mailbox.counts.dropped == 2


def test_a_closed_mailbox_gives_out_what_waits_and_takes_nothing_in() -> None:
    mailbox: Mailbox[int] = Mailbox("one")
    mailbox.put(1)
    mailbox.close()
    mailbox.put(2)
    assert (mailbox.get(), mailbox.get()) == (1, None)


def test_every_consumer_gets_every_notice_in_order() -> None:
    found: dict[str, list[int]] = {"a": [], "b": []}
    with Fanout[int]() as fanout:
        for name, taken in found.items():
            fanout.attach(name, taken.append)
        for number in range(50):
            fanout.publish(number)
    assert found == {"a": list(range(50)), "b": list(range(50))}


def test_a_consumer_that_hangs_delays_neither_producer_nor_others_nor_the_end() -> None:
    never, taken = threading.Event(), []
    fanout: Fanout[int] = Fanout()
    fanout.attach("hangs", lambda _: never.wait() and None, capacity=10)
    fanout.attach("quick", taken.append)
    started = time.monotonic()
    for number in range(1000):
        fanout.publish(number)
        if number % 50 == 0:
            time.sleep(0.001)
    assert time.monotonic() - started < 1
    fanout.close(within_s=0.3)
    assert time.monotonic() - started < 1.5
    counts = fanout.counts()
    assert counts["quick"].delivered + counts["quick"].dropped == 1000
    assert taken[-1] == 999
    assert counts["hangs"].dropped >= 989
    never.set()


def test_a_consumer_that_fails_is_counted_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    taken = []

    def take(number: int) -> None:
        if number % 2:
            raise ValueError(f"cannot take {number}")
        taken.append(number)

    with Fanout[int]() as fanout:
        fanout.attach("odd", take)
        for number in range(20):
            fanout.publish(number)
    assert taken == list(range(0, 20, 2))
    assert undelivered(fanout.counts()) == {"odd": {"dropped": 0, "failed": 10}}
    assert len(caplog.records) == 3  # and no line for each of ten thousand


@pytest.mark.parametrize("error", [GoneError(), BrokenPipeError()])
def test_a_consumer_that_is_gone_gets_nothing_more(error: Exception) -> None:
    asked, gone = [], threading.Event()

    def take(number: int) -> None:
        asked.append(number)
        raise error

    with Fanout[int]() as fanout:
        fanout.attach("pipe", take, when_gone=gone.set)
        fanout.publish(1)
        assert gone.wait(2)
        fanout.publish(2)
    assert asked == [1]


def test_threads_and_mailboxes_are_given_back() -> None:
    before = threading.active_count()
    fanout: Fanout[int] = Fanout()
    for _ in range(200):
        mailbox = fanout.subscribe("page")
        fanout.publish(1)
        fanout.unsubscribe(mailbox)
    for number in range(5):
        fanout.attach(f"consumer {number}", lambda _: None)
    assert set(fanout.counts()) == {f"consumer {number}" for number in range(5)}
    fanout.close()
    assert threading.active_count() == before


def test_who_subscribes_after_the_end_is_told_so_at_once() -> None:
    fanout: Fanout[int] = Fanout()
    fanout.close()
    assert fanout.subscribe("late").get(timeout_s=5) is None
