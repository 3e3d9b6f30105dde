"""The Merkle tree of RFC 6962: vectors, and what must hold for every tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.core.audit.tree import (
    EMPTY_ROOT,
    Leaves,
    Tree,
    is_consistent,
    leaf_hash,
    node_hash,
    root_from_inclusion,
)

# The leaves and roots that the Certificate Transparency project tests its trees with
# (google/certificate-transparency, merkletree/merkle_tree_test.cc).
CT_LEAVES = (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)  # fmt: skip
CT_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)

sizes = st.integers(1, 70)


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(b"record %d" % number) for number in range(count)]


def tree_of(found: list[bytes]) -> Tree:
    tree = Tree()
    for leaf in found:
        tree.add(leaf)
    return tree


def by_definition(found: list[bytes]) -> bytes:
    """MTH, word for word from the RFC, section 2.1."""
    if not found:
        return EMPTY_ROOT
    if len(found) == 1:
        return found[0]
    k = 1
    while k * 2 < len(found):
        k *= 2
    return node_hash(by_definition(found[:k]), by_definition(found[k:]))


def test_the_roots_are_those_of_certificate_transparency() -> None:
    tree = Tree()
    for record, root in zip(CT_LEAVES, CT_ROOTS, strict=True):
        tree.add(leaf_hash(bytes.fromhex(record)))
        assert tree.root().hex() == root


def test_an_empty_tree_has_the_root_of_nothing() -> None:
    assert Tree().root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.integers(0, 70))
def test_the_root_is_that_of_the_definition(count: int) -> None:
    assert tree_of(leaves(count)).root() == by_definition(leaves(count))


@given(sizes, sizes)
def test_a_tree_goes_on_from_its_peaks(first: int, more: int) -> None:
    found = leaves(first + more)
    tree = tree_of(found[:first])
    resumed = Tree(tree.size, tree.peaks)
    for leaf in found[first:]:
        resumed.add(leaf)
    assert resumed.root() == by_definition(found)


@given(sizes, st.data())
def test_each_record_is_proven_and_no_other_one_is(size: int, data: st.DataObject) -> None:
    found = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    proof = Leaves(found).inclusion(index, size)
    root = by_definition(found)
    assert root_from_inclusion(found[index], index, size, proof) == root
    assert root_from_inclusion(leaf_hash(b"forged"), index, size, proof) != root
    for other in range(size):
        if other != index:
            try:
                reached = root_from_inclusion(found[index], other, size, proof)
            except ValueError:
                continue  # the proof has not the length for that place
            assert reached != root


@given(sizes, st.data())
def test_an_earlier_tree_is_proven_to_be_the_beginning(size: int, data: st.DataObject) -> None:
    found = leaves(size)
    old = data.draw(st.integers(1, size))
    old_root, root = by_definition(found[:old]), by_definition(found)
    proof = Leaves(found).consistency(old, size)
    assert is_consistent(old, old_root, size, root, proof)
    forged = leaf_hash(b"forged")
    assert not is_consistent(old, forged, size, root, proof)
    assert not is_consistent(old, old_root, size, forged, proof)
    assert not is_consistent(old, old_root, size, root, [*proof, forged])
    for place in range(len(proof)):
        changed = [*proof[:place], forged, *proof[place + 1 :]]
        assert not is_consistent(old, old_root, size, root, changed)
        assert not is_consistent(old, old_root, size, root, proof[:place])


@given(sizes, sizes, st.data())
def test_what_is_left_of_a_pruned_trail_can_still_be_proven(
    gone: int, kept: int, data: st.DataObject
) -> None:
    found = leaves(gone + kept)
    pruned = Leaves(found[gone:], tree_of(found[:gone]))
    index = data.draw(st.integers(gone, gone + kept - 1))
    assert pruned.inclusion(index, len(found)) == Leaves(found).inclusion(index, len(found))
    with pytest.raises(ValueError, match="there is no leaf"):
        pruned.inclusion(gone - 1, len(found))


def test_peaks_that_are_not_those_of_a_size_are_refused() -> None:
    for size, peaks in ((1, ()), (2, (bytes(32), bytes(32))), (1, (bytes(31),))):
        with pytest.raises(ValueError, match="are not those of"):
            Tree(size, peaks)
