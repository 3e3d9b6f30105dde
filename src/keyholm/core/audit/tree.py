"""The Merkle tree of RFC 6962 (section 2.1) over the records of a trail.

Kept as its peaks: the roots of the perfect subtrees, largest first, one for each bit
that is set in the size. That is all that is needed to add a leaf or to tell the root.
Proofs need the leaves; `Leaves` takes those of a pruned trail as well, where what is
gone is known by its peaks.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256().digest()


def leaf_hash(record: bytes) -> bytes:
    return sha256(b"\0" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


class Tree:
    """A tree that grows."""

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)
        if len(self._peaks) != size.bit_count() or any(len(peak) != 32 for peak in self._peaks):
            raise ValueError(f"{len(self._peaks)} peaks are not those of {size} leaves")

    def add(self, leaf: bytes) -> None:
        # Written out, not calling node_hash: this runs once for each record.
        peaks, size = self._peaks, self.size
        while size & 1:
            leaf = sha256(b"\1" + peaks.pop() + leaf).digest()
            size >>= 1
        peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root

    @property
    def peaks(self) -> tuple[bytes, ...]:
        return tuple(self._peaks)


class Leaves:
    """All leaves of a tree, or those after a pruned beginning; what proofs are made of."""

    def __init__(self, leaves: Sequence[bytes], before: Tree | None = None) -> None:
        self._leaves = leaves
        self._first = before.size if before else 0
        self._peaks: dict[tuple[int, int], bytes] = {}
        start = 0
        for peak in before.peaks if before else ():
            width = 1 << ((self._first - start).bit_length() - 1)
            self._peaks[start, start + width] = peak
            start += width
        self.size = self._first + len(leaves)

    def root(self, start: int, end: int) -> bytes:
        """The root of the leaves from `start` until before `end` (MTH of the RFC)."""
        if (start, end) in self._peaks:
            return self._peaks[start, end]
        if start < self._first and end <= self._first:
            raise ValueError(f"record {start} was pruned")
        if end - start == 1:
            return self._leaves[start - self._first]
        middle = start + _split(end - start)
        return node_hash(self.root(start, middle), self.root(middle, end))

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """PATH of the RFC: that leaf `index` is in the tree of the first `size` leaves."""
        if not self._first <= index < size <= self.size:
            raise ValueError(f"there is no leaf {index} in {size} of {self.size}")
        return self._path(index, 0, size)

    def _path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return [*self._path(index, start, middle), self.root(middle, end)]
        return [*self._path(index, middle, end), self.root(start, middle)]

    def consistency(self, old: int, size: int) -> list[bytes]:
        """PROOF of the RFC: that the tree of `size` leaves begins with that of `old`."""
        if not 0 < old <= size <= self.size:
            raise ValueError(f"{old} and {size} are no sizes of this trail of {self.size}")
        return self._subproof(old, 0, size, whole=True)

    def _subproof(self, old: int, start: int, end: int, *, whole: bool) -> list[bytes]:
        if old == end:
            return [] if whole else [self.root(start, end)]
        middle = start + _split(end - start)
        if old <= middle:
            return [
                *self._subproof(old, start, middle, whole=whole),
                self.root(middle, end),
            ]
        return [*self._subproof(old, middle, end, whole=False), self.root(start, middle)]


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that `proof` leads to (RFC 9162, 2.1.3.2); the caller compares it."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    node, last, rest = leaf, size - 1, list(proof)
    for sibling in rest:
        if last == 0:
            raise ValueError("the proof is too long")
        if index & 1 or index == last:
            node = node_hash(sibling, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    if last:
        raise ValueError("the proof is too short")
    return node


def is_consistent(
    old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the tree of `size` leaves begins with that of `old` (RFC 9162, 2.1.4.2)."""
    if old == size:
        return old_root == root and not proof
    if not 0 < old < size:
        return False
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    index, last = old - 1, size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        index, last = index >> 1, last >> 1
    return first == old_root and second == root and last == 0


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
