"""
A model of torch's heap allocator for Apple GPUs.

Source: pytorch `aten/src/ATen/mps/MPSAllocator.h` of torch 2.13 (sizes of heaps,
`createHeapBlock`, pools) and `MPSAllocator.mm` (`get_free_buffer`, `alloc_buffer`,
`alloc_buffer_block`, `release_buffer`, `garbage_collect_cached_buffers`). A freed
buffer goes to its pool whole and is handed out whole again: it is never split.

What the sources do not show is assumed: Metal aligns a buffer to ALIGN bytes, a heap
places it at its first fit, a heap counts in full from its first byte, and a freed
buffer is at once free, where the device waits for its command buffer. What MPSGraph
allocates beside it is not here. Not run on hardware.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from trainwatch.runner.fit.replay import Full

MIB = 1 << 20
SMALL = MIB
"""kMaxSmallAlloc: up to here a buffer comes from the small pool."""
MIN_LARGE = 10 * MIB
"""kMinLargeAlloc"""
SMALL_HEAP, LARGE_HEAP, XLARGE_HEAP = 8 * MIB, 32 * MIB, 1024 * MIB
"""kSmallHeap, kLargeHeap, kXLargeHeap"""
ROUND_LARGE = 2 * MIB
"""kRoundLarge: of the heaps that hold one buffer."""
ALIGN = 256
"""A guess at what `heapBufferSizeAndAlignWithLength` rounds to."""


def heap_for(size: int, pressure: bool) -> tuple[int, bool]:
    """
    Bytes of the heap that is made for a buffer of `size` bytes, and whether it is
    made to hold others too.
    """
    if size <= SMALL:
        return SMALL_HEAP, True
    if size < MIN_LARGE:
        return LARGE_HEAP, True
    if size < XLARGE_HEAP // 2 and not pressure:
        return XLARGE_HEAP, True
    return -(-size // ROUND_LARGE) * ROUND_LARGE, False


class Heap:
    """Buffers in one stretch of memory."""

    def __init__(self, number: int, size: int, is_split: bool) -> None:
        self.number = number
        self.size = size
        self.is_split = is_split
        self.gaps: list[tuple[int, int]] = [(0, size)]
        """(place, bytes) of the free stretches, by place."""

    @property
    def available(self) -> int:
        """Bytes of the largest buffer that has room."""
        return max((size for _, size in self.gaps), default=0)

    @property
    def empty(self) -> bool:
        return self.gaps == [(0, self.size)]

    def put(self, size: int) -> int:
        """The place of a new buffer, the first that is large enough."""
        index = next(i for i, (_, room) in enumerate(self.gaps) if room >= size)
        place, room = self.gaps[index]
        self.gaps[index : index + 1] = (
            [(place + size, room - size)] if room > size else []
        )
        return place

    def take(self, place: int, size: int) -> None:
        """A buffer is gone: its bytes join the gaps beside it."""
        insort(self.gaps, (place, size))
        joined: list[tuple[int, int]] = []
        for begin, room in self.gaps:
            if joined and sum(joined[-1]) == begin:
                joined[-1] = (joined[-1][0], joined[-1][1] + room)
            else:
                joined.append((begin, room))
        self.gaps = joined


class Buffer:
    """One Metal buffer; `age` counts requests of its pool since it was freed."""

    __slots__ = ("age", "heap", "place", "size", "small")

    def __init__(self, heap: Heap, place: int, size: int, small: bool) -> None:
        self.heap = heap
        self.place = place
        self.size = size
        self.small = small
        self.age = 0


class Pool:
    """Heaps and free buffers of one kind."""

    def __init__(self) -> None:
        self.heaps: dict[int, Heap] = {}
        self._order: list[tuple[int, int]] = []
        self._free: dict[int, Buffer] = {}
        self.available = 0

    def add(self, buffer: Buffer) -> None:
        insort(self._order, (buffer.size, id(buffer)))
        self._free[id(buffer)] = buffer
        self.available += buffer.size

    def remove(self, buffer: Buffer) -> None:
        del self._order[bisect_left(self._order, (buffer.size, id(buffer)))]
        del self._free[id(buffer)]
        self.available -= buffer.size

    def best(self, size: int) -> Buffer | None:
        """The smallest free buffer of at least `size` bytes."""
        place = bisect_left(self._order, (size, 0))
        return self._free[self._order[place][1]] if place < len(self._order) else None

    def free_buffers(self) -> list[Buffer]:
        """Smallest first."""
        return [self._free[key] for _, key in self._order]

    def fullest(self, size: int) -> Heap | None:
        """The fullest heap that has room."""
        found = [heap for heap in self.heaps.values() if heap.available >= size]
        return min(found, key=lambda heap: (heap.available, heap.number), default=None)


class MpsAllocator:
    """
    `reserved` is what torch calls the driver's memory: the bytes of all heaps.

    Args:
        limit: high watermark in bytes, where torch raises; None for no limit.
        low: low watermark in bytes, from which free buffers are given back and heaps
            are as small as their buffer; None switches that off.
    """

    def __init__(self, limit: int | None = None, low: int | None = None) -> None:
        self.limit = limit
        self.low = low
        self.held = self.reserved = self.flushes = 0
        self._pools = {True: Pool(), False: Pool()}
        self._live: dict[int, Buffer] = {}
        self._heaps = 0

    def allocate(self, storage: int, size: int) -> None:
        """
        Raises:
            Full: the high watermark is reached, also without the free buffers.
        """
        if size <= 0:
            return
        size = -(-size // ALIGN) * ALIGN
        small = size <= SMALL
        pool = self._pools[small]
        pressure = not small and self.low is not None and self.reserved >= self.low
        buffer, pressure = self._reuse(pool, size, small, pressure)
        if buffer is None:
            if pressure and size < pool.available:
                self._collect(pool)
            buffer = self._new(pool, size, small, pressure)
        if buffer is None and self._release_fitting(pool, size):
            buffer = self._new(pool, size, small, pressure)
        if buffer is None:
            self.flushes += 1
            self.empty_cache()
            buffer = self._new(pool, size, small, pressure)
        if buffer is None:
            raise Full
        self._live[storage] = buffer
        self.held += buffer.size

    def free(self, storage: int) -> None:
        buffer = self._live.pop(storage, None)
        if buffer is None:
            return  # An empty storage has no buffer.
        self.held -= buffer.size
        buffer.age = 0
        self._pools[buffer.small].add(buffer)

    def empty_cache(self) -> None:
        """Release every free buffer, and the heaps that are empty then."""
        for pool in self._pools.values():
            for buffer in pool.free_buffers():
                self._release(pool, buffer)

    def live(self) -> list[tuple[tuple[int, int], int]]:
        """((heap, place), bytes) of every live buffer."""
        return [((b.heap.number, b.place), b.size) for b in self._live.values()]

    def _over(self, size: int) -> bool:
        return self.limit is not None and self.reserved + size > self.limit

    def _reuse(
        self, pool: Pool, size: int, small: bool, pressure: bool
    ) -> tuple[Buffer | None, bool]:
        """A free buffer for `size` bytes, and whether pressure is still to relieve."""
        if self._over(size):
            return None, pressure
        if not small and self.low is not None:
            for free in pool.free_buffers():
                free.age += 1
        buffer = pool.best(size)
        if buffer is None:
            return None, pressure
        if buffer.size <= size + LARGE_HEAP:
            pool.remove(buffer)
            return buffer, pressure
        if pool.fullest(size) is None:
            # Far too large a buffer: its room in the heap serves the smaller one.
            self._release(pool, buffer, remove_heap=False)
            pressure = False
        return None, pressure

    def _new(self, pool: Pool, size: int, small: bool, pressure: bool) -> Buffer | None:
        if self._over(size):
            return None
        heap = pool.fullest(size)
        if heap is None:
            total, is_split = heap_for(size, pressure)
            heap = Heap(self._heaps, total, is_split)
            self._heaps += 1
            pool.heaps[heap.number] = heap
            self.reserved += total
        return Buffer(heap, heap.put(size), size, small)

    def _release(self, pool: Pool, buffer: Buffer, remove_heap: bool = True) -> None:
        pool.remove(buffer)
        heap = buffer.heap
        heap.take(buffer.place, buffer.size)
        if remove_heap and heap.empty:
            del pool.heaps[heap.number]
            self.reserved -= heap.size

    def _release_fitting(self, pool: Pool, size: int) -> bool:
        """Release the best fitting free buffer, else the largest up to `size`."""
        buffer = pool.best(size)
        if buffer is not None:
            self._release(pool, buffer)
            return True
        released = 0
        for free in reversed(pool.free_buffers()):
            if released >= size:
                break
            released += free.size
            self._release(pool, free)
        return released >= size

    def _collect(self, pool: Pool) -> None:
        """Release free buffers of more than average age down to the low watermark."""
        target = self.reserved - (self.low or 0)
        reclaimed = 0
        while reclaimed < target:
            free = pool.free_buffers()
            if not free:
                return
            average = sum(buffer.age for buffer in free) / len(free)
            for buffer in free:
                if reclaimed >= target:
                    return
                if buffer.age >= average:
                    reclaimed += buffer.size
                    self._release(pool, buffer, not buffer.heap.is_split)
