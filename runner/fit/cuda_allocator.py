"""
A model of torch's caching allocator for CUDA (ROCm and XPU have the same).

Source: pytorch `c10/cuda/CUDACachingAllocator.cpp` (`round_size`, `get_pool`,
`get_allocation_size`, `should_split`, `get_free_block`, `alloc_block`, `free_block`,
`try_merge_blocks`, `release_cached_blocks`, `find_expandable_block`, `map_block`),
constants also in `c10/core/AllocatorConfig.h` of torch 2.13. One stream, no graphs,
`max_split_size` unlimited, no division of powers of two: the defaults. Addresses of
segments are ascending, where the driver's are not known. Not run on hardware.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from trainwatch.runner.fit.replay import Full

MIN_BLOCK = 512
"""kMinBlockSize: every size is rounded up to it."""
SMALL = 1 << 20
"""kSmallSize: up to here a block comes from the small pool."""
SMALL_SEGMENT = 2 << 20
"""kSmallBuffer"""
MIN_LARGE = 10 << 20
"""kMinLargeAlloc: from here a segment is as large as its block."""
LARGE_SEGMENT = 20 << 20
"""kLargeBuffer, `large_segment_size` in newer versions."""
ROUND_LARGE = 2 << 20
"""kRoundLarge"""


def rounded(size: int, to: int) -> int:
    return -(-size // to) * to


def segment_size(size: int) -> int:
    """What is asked of the driver for a block of `size` bytes."""
    if size <= SMALL:
        return SMALL_SEGMENT
    if size < MIN_LARGE:
        return LARGE_SEGMENT
    return rounded(size, ROUND_LARGE)


class Block:
    """A stretch of a segment, in a list with its neighbours there."""

    __slots__ = ("address", "free", "mapped", "next", "previous", "size", "small")

    def __init__(self, address: int, size: int, small: bool) -> None:
        self.address = address
        self.size = size
        self.small = small
        self.free = True
        self.mapped = True
        """False: addresses of an expandable segment without memory behind them."""
        self.previous: Block | None = None
        self.next: Block | None = None

    @property
    def is_split(self) -> bool:
        return self.previous is not None or self.next is not None

    def insert_after(self, size: int) -> Block:
        """Cut `size` bytes off the end, as a free block behind this one."""
        rest = Block(self.address + self.size - size, size, self.small)
        self.size -= size
        rest.previous, rest.next = self, self.next
        if self.next is not None:
            self.next.previous = rest
        self.next = rest
        return rest


class Pool:
    """Free blocks of one kind by size, then address."""

    def __init__(self, small: bool) -> None:
        self.small = small
        self._order: list[tuple[int, int]] = []
        self._blocks: dict[int, Block] = {}
        self.unmapped: list[Block] = []
        """Addresses without memory of the expandable segment, lowest first."""

    def add(self, block: Block) -> None:
        insort(self._order, (block.size, block.address))
        self._blocks[block.address] = block

    def remove(self, block: Block) -> None:
        del self._order[bisect_left(self._order, (block.size, block.address))]
        del self._blocks[block.address]

    def best(self, size: int) -> Block | None:
        """
        The smallest free block of at least `size` bytes. A block that could be
        expanded counts with what it could become, so others go before it.
        """
        place = bisect_left(self._order, (size, 0))
        if place == len(self._order):
            return None
        found = self._blocks[self._order[place][1]]
        for _, address in self._order[place + 1 :]:
            following = self._blocks[address]
            if _expandable(following) >= _expandable(found):
                break
            found = following
        return found

    def blocks(self) -> list[Block]:
        return list(self._blocks.values())


def _expandable(block: Block) -> int:
    behind = block.next
    return block.size + (behind.size if behind and not behind.mapped else 0)


class CudaAllocator:
    """
    Args:
        capacity: bytes that the driver gives; None for as many as asked.
        expandable: `expandable_segments:True`. Each pool then is one segment that
            grows by pages of 2 MiB (small) or 20 MiB (large).
    """

    def __init__(self, capacity: int | None = None, expandable: bool = False) -> None:
        self.capacity = capacity
        self.expandable = expandable
        self.held = self.reserved = self.flushes = 0
        self._pools = {True: Pool(True), False: Pool(False)}
        self._live: dict[int, Block] = {}
        self._end = 1 << 21
        """The next segment's address."""

    def allocate(self, storage: int, size: int) -> None:
        """
        Raises:
            Full: there is no room, also with every free segment given back.
        """
        if size <= 0:
            return
        size = max(MIN_BLOCK, rounded(size, MIN_BLOCK))
        pool = self._pools[size <= SMALL]
        block = pool.best(size)
        if block is None:
            try:
                block = self._more(pool, size)
            except Full:
                self.flushes += 1
                self.empty_cache()
                block = self._more(pool, size)
        pool.remove(block)
        rest = block.size - size
        fine = pool.small or self.expandable
        if rest >= MIN_BLOCK if fine else rest > SMALL:
            pool.add(block.insert_after(rest))
        block.free = False
        self._live[storage] = block
        self.held += block.size

    def free(self, storage: int) -> None:
        block = self._live.pop(storage, None)
        if block is None:
            return  # An empty storage has no block.
        self.held -= block.size
        block.free = True
        pool = self._pools[block.small]
        pool.add(self._merged(block, pool))

    def empty_cache(self) -> None:
        """Give back every segment, or page, that holds nothing."""
        for pool in self._pools.values():
            for block in pool.blocks():
                if self.expandable:
                    self._unmap(pool, block)
                elif not block.is_split:
                    pool.remove(block)
                    self.reserved -= block.size

    def live(self) -> list[tuple[int, int]]:
        """(address, bytes) of every live block."""
        return [(block.address, block.size) for block in self._live.values()]

    # --- taking from the driver ---

    def _take(self, size: int) -> None:
        if self.capacity is not None and self.reserved + size > self.capacity:
            raise Full
        self.reserved += size

    def _more(self, pool: Pool, size: int) -> Block:
        """A free block in the pool with at least `size` bytes, from the driver."""
        if self.expandable:
            return self._expand(pool, size)
        segment = segment_size(size)
        self._take(segment)
        block = Block(self._end, segment, pool.small)
        self._end += segment
        pool.add(block)
        return block

    def _merged(self, block: Block, pool: Pool) -> Block:
        """`block`, in no pool, with the free blocks beside it made a part of it."""
        before, behind = block.previous, block.next
        if before is not None and before.free and before.mapped:
            pool.remove(before)
            block.address, block.size = before.address, before.size + block.size
            block.previous = before.previous
            if block.previous is not None:
                block.previous.next = block
        if behind is not None and behind.free and behind.mapped:
            pool.remove(behind)
            block.size += behind.size
            block.next = behind.next
            if block.next is not None:
                block.next.previous = block
        return block

    # --- expandable segments ---

    def _expand(self, pool: Pool, size: int) -> Block:
        """The lowest stretch of free and unmapped addresses, with memory behind it."""
        if not pool.unmapped:
            endless = Block((2 if pool.small else 3) << 50, 1 << 49, pool.small)
            endless.mapped = False
            pool.unmapped.append(endless)
        for hole in pool.unmapped:
            before = hole.previous
            joined = before is not None and before.free
            first = before if joined and before is not None else hole
            if _room(first, size):
                break
        else:  # pragma: no cover - 512 TiB are always left
            raise Full
        block = first if first.mapped else self._map(pool, first, size)
        while block.size < size:
            assert block.next is not None
            block = self._map(pool, block.next, size - block.size)
        return block

    def _map(self, pool: Pool, hole: Block, size: int) -> Block:
        """Put pages behind the first `size` bytes of `hole`; merged and free."""
        page = SMALL_SEGMENT if pool.small else LARGE_SEGMENT
        size = min(rounded(size, page), hole.size)
        self._take(size)
        pool.unmapped.remove(hole)
        if size < hole.size:
            rest = hole.insert_after(hole.size - size)
            rest.mapped = False
            insort(pool.unmapped, rest, key=lambda block: block.address)
        hole.mapped = True
        block = self._merged(hole, pool)
        pool.add(block)
        return block

    def _unmap(self, pool: Pool, block: Block) -> None:
        """Take the memory from the pages that lie wholly in the free `block`."""
        page = SMALL_SEGMENT if pool.small else LARGE_SEGMENT
        base = (2 if pool.small else 3) << 50
        first = base + rounded(block.address - base, page)
        last = base + (block.address + block.size - base) // page * page
        if first >= last:
            return
        pool.remove(block)
        end = block.address + block.size
        if last < end:
            pool.add(block.insert_after(end - last))
        hole = block
        if block.address < first:
            hole = block.insert_after(last - first)
            pool.add(block)
        hole.mapped = False
        self.reserved -= hole.size
        _join_holes(pool, hole)


def _room(block: Block | None, size: int) -> bool:
    """Whether free and unmapped addresses from `block` on are enough."""
    found = 0
    while block is not None and block.free and found < size:
        found += block.size
        block = block.next
    return found >= size


def _join_holes(pool: Pool, hole: Block) -> None:
    """`hole` among the unmapped ones, made one with those beside it."""
    before, behind = hole.previous, hole.next
    if before is not None and not before.mapped:
        pool.unmapped.remove(before)
        hole.address, hole.size = before.address, before.size + hole.size
        hole.previous = before.previous
        if hole.previous is not None:
            hole.previous.next = hole
    if behind is not None and not behind.mapped:
        pool.unmapped.remove(behind)
        hole.size += behind.size
        hole.next = behind.next
        if hole.next is not None:
            hole.next.previous = hole
    insort(pool.unmapped, hole, key=lambda block: block.address)
