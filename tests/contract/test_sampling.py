"""The order of clips is a function of the sample number, over one worker or several."""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import tfrecords
from tests import commands
from tests.contract.inputs import PACKING, write_source
from tests.support import FIXTURES

ORDERS = json.loads((FIXTURES / "v0_1_0" / "orders.json").read_text())
SMALL = FIXTURES / "v0_1_0" / "packed"
ENDLESS = ("shuffled", "balanced", "alternate", "streamed")


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """2500 clips of 4 samples in 5 shards. Read only."""
    folder = tmp_path_factory.mktemp("many")
    source = write_source(folder / "source", 2500, 4)
    words = ["--metadata", source / "metadata.csv", "--audio", source / "audio"]
    words += ["--clip-seconds", "0.0005", *PACKING, "--clips-per-shard", "500"]
    assert commands.tfrecords("pack", *words, "--output", folder / "packed") == 0
    return folder / "packed"


def ids_of(directory: Path, count: int, batch_size: int = 50, **options) -> list[str]:
    """The first ``count`` clips of a stream."""
    data = tfrecords.dataset(directory, batch_size=batch_size, **options)
    batches = itertools.islice(data, -(-count // batch_size))
    ids = itertools.chain.from_iterable(batch["clip_id"].numpy() for batch in batches)
    return [clip_id.decode() for clip_id in ids][:count]


def classes_of(clip_id: str) -> set[str]:
    """As `write_source` gives them."""
    number = int(clip_id[5:9])
    more = {"d"} if number % 5 == 0 else set()
    return {"abc"[number % 3]} | more | ({"rare"} if number % 20 == 0 else set())


@pytest.mark.parametrize("key", ORDERS)
def test_the_order_is_that_of_version_0_1_0(many, key):
    sampling, seed, start = key.split()
    found = ids_of(many, 64 * 80, 64, sampling=sampling, seed=int(seed), start=int(start))
    assert found[:8] == ORDERS[key]["first"]
    assert hashlib.sha256("\n".join(found).encode()).hexdigest() == ORDERS[key]["sha256"]


def test_every_class_comes_once_a_round_and_every_clip_before_it_comes_again(many):
    rounds = np.array(ids_of(many, 5 * 1000, 500, sampling="balanced", seed=3)).reshape(-1, 5)
    for draws in rounds[:200]:  # some order of the draws is one of all classes
        orders = itertools.permutations(["a", "b", "c", "d", "rare"])
        assert any(
            all(label in classes_of(clip) for label, clip in zip(order, draws, strict=True))
            for order in orders
        )
    # "rare" has 125 clips of 2500, and is drawn in each of the 1000 rounds.
    rare = [clip for clip in rounds.ravel() if "rare" in classes_of(clip)]
    assert len(rare) >= 1000
    # The control: by their number they come a twentieth of the time.
    shuffled = ids_of(many, 5000, 500, sampling="shuffled", seed=3)
    assert sum("rare" in classes_of(clip) for clip in shuffled) == 250


@pytest.mark.parametrize("sampling", ["shuffled", "streamed"])
def test_every_clip_comes_once_an_epoch(many, sampling):
    first, second = np.array(ids_of(many, 5000, 500, sampling=sampling, seed=1)).reshape(2, -1)
    assert len(set(first)) == len(set(second)) == 2500
    assert first.tolist() != second.tolist()


def test_alternate_takes_turns_of_a_batch(many):
    found = np.array(ids_of(many, 60, 6, sampling="alternate")).reshape(5, 2, 6)
    assert found[:, 0].ravel().tolist() == ids_of(many, 30, 6, sampling="balanced")
    assert found[:, 1].ravel().tolist() == ids_of(many, 30, 6, sampling="shuffled")


def test_a_stream_from_a_start_is_the_rest(many):
    for sampling in (*ENDLESS, "sequential"):
        options = {"sampling": sampling, "seed": 2, "batch_size": 10}
        whole = ids_of(many, 1100, **options)
        for start in (1, 10, 512, 1000):
            found = ids_of(many, 100, start=start, **options)
            if sampling == "alternate" and start % 10:  # batches begin elsewhere
                continue
            assert found == whole[start : start + 100], (sampling, start)


def test_seeds_and_far_numbers(many):
    for sampling in ENDLESS:
        one, other = (ids_of(many, 200, sampling=sampling, seed=seed) for seed in (0, 1))
        assert one != other
        far = ids_of(many, 50, sampling=sampling, start=2**60)
        assert set(far) <= {f"clip_{number:04d}.wav" for number in range(2500)}


def test_a_part_alone_is_drawn():
    without = {f"clip_{number:04d}.wav" for number in range(0, 60, 2)}
    for sampling in ENDLESS:
        found = set(ids_of(SMALL, 600, sampling=sampling, exclude=sorted(without)))
        assert len(found) == 30
        assert not found & without
        part = set(ids_of(SMALL, 600, sampling=sampling, fraction=0.5))
        assert part == set(ids_of(FIXTURES / "v0_1_0" / "view", 34, sampling="sequential"))
        assert part < set(ids_of(SMALL, 600, sampling=sampling, fraction=0.8))


@pytest.mark.parametrize("sampling", ["balanced", "shuffled", "alternate"])
def test_batches_of_all_workers_are_a_large_one(sampling):
    options = {"sampling": sampling, "seed": 3, "start": 40}
    whole = np.array(ids_of(SMALL, 60, 10, **options)).reshape(6, 2, 5)
    parts = [ids_of(SMALL, 30, 5, workers=2, worker=worker, **options) for worker in (0, 1)]
    for worker in (0, 1):
        assert whole[:, worker].ravel().tolist() == parts[worker]


def test_sequential_is_covered_once_by_all_workers():
    ids = ids_of(SMALL, 60)
    for workers, start in ((2, 0), (3, 6), (4, 60)):
        for worker in range(workers):
            options = {"workers": workers, "worker": worker, "start": start}
            assert ids_of(SMALL, 60, 4, **options) == ids[start:][worker::workers]
