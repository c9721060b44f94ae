"""Pools of threads where the system starts few."""

import threading

import pytest

from nnfit.training import pools


def refuse(monkeypatch, attempts):
    """Let the system refuse some attempts to start a thread."""
    start, numbers = threading.Thread.start, iter(range(100))

    def start_or_refuse(thread):
        if next(numbers) in attempts:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_refuse)


def test_a_pool_waits_for_the_stack_of_the_thread_before(monkeypatch):
    refuse(monkeypatch, attempts={1, 2})
    assert pools.can_start_threads()
    with pools.Pool(2) as pool:
        assert pool.submit(int).result(10) == 0


def test_a_pool_without_any_thread(monkeypatch):
    refuse(monkeypatch, attempts=set(range(100)))
    assert not pools.can_start_threads()
    with pools.Pool(2) as pool, pytest.raises(RuntimeError, match="start new thread"):
        pool.submit(int)
