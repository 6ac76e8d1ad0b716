"""Products: the first stays, and a damaged one is never used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord
from pbtnas.store.posix import PosixStore
from pbtnas.store.products import Products, published


@pytest.fixture
def products(tmp_path: Path) -> Iterator[Products]:
    (tmp_path / paths.PRODUCTS).mkdir()
    with PosixStore(tmp_path, "me") as store:
        yield Products(store, tmp_path)


def test_who_publishes_a_product_second_goes_on_with_the_first(
    products: Products, tmp_path: Path
) -> None:
    """Two processes prepare at the same time: both use what the slot holds."""
    assert products.publish("judge", b"first") == b"first"
    assert products.publish("judge", b"second") == b"first"
    assert products.lookup("judge") == b"first"
    assert products.lookup("other") is None


@pytest.mark.parametrize("place", [0, 64, 65, -1])
def test_a_damaged_product_is_not_used(products: Products, tmp_path: Path, place: int) -> None:
    """Wherever a bit flips, in its digest or in its bytes, one sentence names it."""
    products.publish("judge", b"weights of the judge")
    path = tmp_path / paths.product("judge")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)

    if place == 64:  # the newline between them means nothing
        assert products.lookup("judge") == b"weights of the judge"
    else:
        with pytest.raises(CorruptRecord, match="products/judge: damaged"):
            products.lookup("judge")


def test_published_products_are_told_by_their_digests(products: Products, tmp_path: Path) -> None:
    """What is private to a writer is none."""
    products.publish("judge", b"first")
    (tmp_path / paths.PRODUCTS / ".tmp-me-9").write_bytes(b"")
    with PosixStore(tmp_path, "reader") as store:
        told = published(store)

    assert list(told) == ["judge"]
    assert (tmp_path / paths.product("judge")).read_bytes().startswith(told["judge"].encode())
