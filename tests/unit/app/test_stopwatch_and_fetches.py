"""The person's time on an item, and which of several fetches may show what it found."""

from imfl_engine.types import LONGEST_THOUGHT
from imfl_tui.fetches import Fetches
from imfl_tui.stopwatch import Stopwatch


def test_a_stopwatch_counts_the_item_in_view_and_no_coffee():
    now = [100.0]
    watch = Stopwatch(lambda: now[0])
    watch.watch(1)
    now[0] += 4
    watch.watch(1)
    assert watch.seconds == 4
    watch.watch(2)
    assert watch.seconds == 0
    now[0] += 3
    watch.start()
    now[0] += 2
    assert watch.seconds == 2
    now[0] += 3600
    assert watch.seconds == LONGEST_THOUGHT


def test_only_the_newest_fetch_shows_what_it_found():
    fetches = Fetches()
    with fetches.one() as old:
        with fetches.one() as new:
            assert not fetches.is_newest(old)
            assert fetches.is_newest(new)
        assert not fetches.running


def test_a_cancelled_fetch_leaves_room_for_the_next():
    fetches = Fetches()
    try:
        with fetches.one():
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert not fetches.running
    with fetches.one() as number:
        assert fetches.running
        assert fetches.is_newest(number)
