"""The models of the devices' allocators: every short sequence, and cases by hand."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import pytest

from trainwatch.runner.fit.cuda_allocator import CudaAllocator
from trainwatch.runner.fit.devices import parse
from trainwatch.runner.fit.mps_allocator import ALIGN, MpsAllocator
from trainwatch.runner.fit.replay import Full, replay
from trainwatch.runner.fit.reserved import reserved
from trainwatch.runner.fit.trace import Trace

MIB = 1 << 20
GIB = 1 << 30
Model = CudaAllocator | MpsAllocator
MODELS: dict[str, Callable[[], Model]] = {
    "cuda": CudaAllocator,
    "cuda in 64 MiB": lambda: CudaAllocator(64 * MIB),
    "expandable": lambda: CudaAllocator(expandable=True),
    "expandable in 64 MiB": lambda: CudaAllocator(64 * MIB, expandable=True),
    "mps": MpsAllocator,
    "mps in 1.2 GiB": lambda: MpsAllocator(1200 * MIB, 40 * MIB),
    "mps with a low watermark": lambda: MpsAllocator(None, 16 * MIB),
}
SIZES = (300, 700 << 10, 3 * MIB, 11 * MIB, 21 * MIB)


def sequences(moves: int) -> Iterator[list[int]]:
    """
    Every sequence of `moves` moves: n >= 0 allocates SIZES[n], n < 0 frees the live
    storage -n-1, oldest first.
    """

    def grow(done: list[int], live: int) -> Iterator[list[int]]:
        if len(done) == moves:
            yield done
            return
        for size in range(len(SIZES)):
            yield from grow([*done, size], live + 1)
        for place in range(live):
            yield from grow([*done, -place - 1], live - 1)

    return grow([], 0)


def apply(model: Model, moves: list[int], check_each: bool) -> None:
    live: list[tuple[int, int]] = []
    for storage, move in enumerate(moves):
        if move >= 0:
            try:
                model.allocate(storage, SIZES[move])
            except Full:
                continue
            live.append((storage, SIZES[move]))
        else:
            if -move > len(live):
                continue
            model.free(live.pop(-move - 1)[0])
        if check_each:
            check(model, sum(size for _, size in live))
    check(model, sum(size for _, size in live))
    for storage, _ in live:
        model.free(storage)
    assert model.held == 0
    reserved = model.reserved
    model.empty_cache()
    assert model.reserved == 0, f"of {reserved} bytes not all came back"


def check(model: Model, wanted: int) -> None:
    """Nothing is smaller than asked, nothing overlaps, all of it is reserved."""
    blocks = sorted(model.live())
    assert wanted <= sum(size for _, size in blocks) == model.held <= model.reserved
    for (place, size), (following, _) in itertools.pairwise(blocks):
        if isinstance(place, int):
            assert place + size <= following
        elif place[0] == following[0]:
            assert place[1] + size <= following[1]


@pytest.mark.parametrize("name", MODELS)
def test_every_short_sequence(name: str) -> None:
    for moves in sequences(5):
        apply(MODELS[name](), moves, check_each=True)


@pytest.mark.parametrize("name", MODELS)
def test_long_random_sequences(name: str) -> None:
    for seed in range(20):
        pick = random.Random(seed)
        moves = [
            pick.randrange(len(SIZES)) if pick.random() < 0.55 else -pick.randint(1, 9)
            for _ in range(120)
        ]
        apply(MODELS[name](), moves, check_each=True)


def test_cuda_rounds_and_takes_segments() -> None:
    cuda = CudaAllocator()
    cuda.allocate(0, 1)
    assert (cuda.held, cuda.reserved) == (512, 2 * MIB)
    cuda.allocate(1, MIB)  # the rest of the small segment still has room for it
    assert (cuda.held, cuda.reserved) == (512 + MIB, 2 * MIB)
    cuda.allocate(2, 3 * MIB)
    assert cuda.reserved == 22 * MIB
    cuda.allocate(3, 9 * MIB)  # out of the same 20 MiB
    assert cuda.reserved == 22 * MIB
    cuda.allocate(4, 11 * MIB)
    assert cuda.reserved == 34 * MIB
    assert cuda.held == 512 + MIB + 3 * MIB + 9 * MIB + 12 * MIB


def test_a_large_block_keeps_a_rest_of_up_to_1_mib() -> None:
    cuda = CudaAllocator()
    cuda.allocate(0, 11 * MIB)
    assert (cuda.held, cuda.reserved) == (12 * MIB, 12 * MIB)
    cuda.free(0)
    cuda.allocate(1, 10 * MIB)
    assert (cuda.held, cuda.reserved) == (10 * MIB, 12 * MIB)


def test_best_fit_then_the_neighbours_are_one_again() -> None:
    cuda = CudaAllocator()
    for storage in range(4):
        cuda.allocate(storage, 5 * MIB)
    assert cuda.reserved == 20 * MIB
    cuda.free(1)
    cuda.free(2)
    cuda.allocate(4, 10 * MIB)
    assert cuda.reserved == 20 * MIB


def test_fragments_are_counted_where_they_are() -> None:
    trace = Trace()
    trace.begin("forward")
    kept = [trace.allocate(5 * MIB) for _ in range(8)]
    trace.begin("backward")
    for storage in kept[::2]:
        trace.free(storage)
    trace.allocate(9 * MIB)
    told = replay(trace, CudaAllocator())
    assert told.held_peak == 40 * MIB
    assert told.reserved_peak == 60 * MIB
    assert told.reserved_in == "backward"
    assert told.held_at_reserved_peak == 29 * MIB
    assert told.fragmentation == pytest.approx(31 / 60)
    expandable = replay(trace, CudaAllocator(expandable=True))
    assert expandable.reserved_peak == 60 * MIB  # 49 MiB, by pages of 20


def test_a_full_card_gives_its_cache_back_first() -> None:
    cuda = CudaAllocator(capacity=40 * MIB)
    cuda.allocate(0, 20 * MIB)
    cuda.allocate(1, 12 * MIB)
    cuda.free(0)
    cuda.allocate(2, 28 * MIB)
    assert (cuda.reserved, cuda.flushes) == (40 * MIB, 1)
    with pytest.raises(Full):
        cuda.allocate(3, 2 * MIB)


def test_a_split_segment_cannot_be_given_back_but_its_pages_can() -> None:
    for expandable, fits in ((False, False), (True, True)):
        trace = Trace()
        trace.begin("load")
        large = trace.allocate(60 * MIB)
        trace.begin("forward")
        trace.free(large)
        trace.allocate(2 * MIB)
        trace.begin("optimizer")
        trace.allocate(65 * MIB)
        told = replay(trace, CudaAllocator(100 * MIB, expandable))
        assert (told.full_in is None) is fits, expandable
        if not fits:
            assert (told.full_in, told.full_request) == ("optimizer", 65 * MIB)


def test_weights_before_the_first_phase_are_setup() -> None:
    trace = Trace()
    trace.allocate(64 * MIB)
    assert replay(trace, CudaAllocator(32 * MIB)).full_in == "setup"
    assert replay(trace, CudaAllocator()).reserved_in == "setup"
    assert replay(Trace(), CudaAllocator()).fragmentation == 0.0


def test_mps_heaps() -> None:
    mps = MpsAllocator()
    mps.allocate(0, 1)
    assert (mps.held, mps.reserved) == (ALIGN, 8 * MIB)
    mps.allocate(1, 2 * MIB)
    assert mps.reserved == 40 * MIB
    mps.allocate(2, 100 * MIB)
    assert mps.reserved == 40 * MIB + GIB
    mps.allocate(3, 300 * MIB)
    assert mps.reserved == 40 * MIB + GIB
    mps.allocate(4, 513 * MIB)
    assert mps.reserved == 40 * MIB + GIB  # 624 MiB of that heap were left
    mps.allocate(5, 513 * MIB)
    assert mps.reserved == 40 * MIB + GIB + 514 * MIB


def test_mps_hands_a_buffer_out_whole_if_it_is_up_to_32_mib_too_large() -> None:
    mps = MpsAllocator()
    mps.allocate(0, 60 * MIB)
    mps.free(0)
    mps.allocate(1, 30 * MIB)
    assert mps.held == 60 * MIB
    mps.free(1)
    mps.allocate(2, 20 * MIB)  # 40 too large: out of the heap instead
    assert mps.held == 20 * MIB
    assert mps.reserved == GIB


def test_mps_above_the_low_watermark_takes_no_heap_of_1_gib() -> None:
    mps = MpsAllocator(limit=8 * GIB, low=GIB)
    mps.allocate(0, 700 * MIB)
    mps.allocate(1, 400 * MIB)
    assert mps.reserved == 700 * MIB + GIB
    mps.allocate(2, 400 * MIB)
    mps.allocate(3, 400 * MIB)
    assert mps.reserved == 700 * MIB + GIB + 400 * MIB


def test_mps_is_full_at_the_high_watermark() -> None:
    trace = Trace()
    trace.begin("forward")
    first = trace.allocate(600 * MIB)
    trace.allocate(700 * MIB)
    trace.free(first)
    trace.begin("backward")
    trace.allocate(650 * MIB)
    told = replay(trace, MpsAllocator(limit=1500 * MIB))
    assert told.full_in is None
    assert (told.reserved_peak, told.reserved_in) == (1350 * MIB, "backward")
    assert replay(trace, MpsAllocator(limit=1200 * MIB)).full_in == "forward"


def test_each_device_has_its_allocator_and_its_limits() -> None:
    trace = Trace()
    trace.begin("load")
    for _ in range(30):
        trace.allocate(GIB)
    trace.begin("optimizer")
    trace.allocate(GIB)
    cuda = reserved(trace, parse("cuda:24GB", {}))
    assert cuda is not None
    assert (cuda.full_in, cuda.reserved_peak) == ("load", 23 * GIB)
    mac = reserved(trace, parse("mps:36GB", {}))
    assert mac is not None
    assert (mac.full_in, mac.reserved_in) == (None, "optimizer")
    small = reserved(trace, parse("mps:16GB", {}))
    assert small is not None
    assert small.full_in == "load"
    for name in ("mps:16GB", "cuda:24GB"):
        free = reserved(trace, parse(name, {}), limited=False)
        assert free is not None
        assert (free.full_in, free.reserved_peak) == (None, 31 * GIB)
    assert reserved(trace, parse("cpu:16GB", {})) is None
