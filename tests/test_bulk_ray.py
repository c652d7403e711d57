"""A corpus on a Ray cluster of two machines, played by processes of this one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linnet.bulk import Vocoder, vocode
from voices import tiny_voice

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="finds the actors in Linux's /proc"),
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A voice, 500 short utterances, and what they are to become."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "voice.linnet").write_bytes(large_voice())
    (folder / "in").mkdir()
    random = np.random.default_rng(0)
    for n in range(500):
        mel = random.standard_normal((10, random.integers(50, 200))).astype(np.float32)
        np.save(folder / "in" / f"u{n:03}.npy", mel)
    vocode(folder / "in", folder / "voice.linnet", folder / "expected")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    nodes: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()


def large_voice() -> bytes:
    """Too large to travel within a message: it has to come from the object store."""
    return tiny_voice(config={"training": {"description": "x" * 500_000}})


def hashes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.wav")}


def actors() -> list[int]:
    """The processes that vocode, and for a moment what they fork, which comes later in the list."""
    titles = ((int(p.parent.name), p.read_bytes()) for p in Path("/proc").glob("[0-9]*/cmdline"))
    return sorted(
        process for process, title in titles if title.startswith(b"ray::MapWorker(MapBatches")
    )


def test_a_killed_actor_loses_nothing_and_doubles_nothing(corpus: Path, cluster: str) -> None:
    output = corpus / "ray"
    report: Any = None

    def run() -> None:
        nonlocal report
        report = vocode(
            corpus / "in", corpus / "voice.linnet", output, engine="ray", address=cluster, batch=4
        )

    work = threading.Thread(target=run)
    work.start()
    while len(hashes(output)) < 50:
        assert work.is_alive()
        time.sleep(0.05)
    victims = actors()
    assert len(victims) >= 2
    os.kill(victims[0], signal.SIGKILL)
    work.join()
    assert len(hashes(output)) == 500
    assert (report.made, report.failed, report.stopped) == (500, {}, "")
    assert hashes(output) == hashes(corpus / "expected")


def test_failures_come_back_from_the_cluster(corpus: Path, cluster: str) -> None:
    paths = [corpus / "in" / f"u{n:03}.npy" for n in range(5)] + [corpus / "in" / "none.npy"]
    report = vocode(
        paths, corpus / "voice.linnet", corpus / "failing", engine="ray", address=cluster
    )
    assert report.made == 5
    assert list(report.failed) == ["none"] and "none.npy" in report.failed["none"]
    assert (corpus / "failing" / "errors.jsonl").exists()


def test_the_vocoder_serves_a_dataset_of_ones_own(corpus: Path, cluster: str) -> None:
    import ray.data

    rows = [{"name": f"u{n:03}", "path": str(corpus / "in" / f"u{n:03}.npy")} for n in range(6)]
    voice = str(corpus / "voice.linnet")
    done = ray.data.from_items(rows).map_batches(
        Vocoder, fn_constructor_args=(voice, str(corpus / "own")), batch_size=3, concurrency=1
    )
    assert sorted(row["name"] for row in done.take_all()) == [row["name"] for row in rows]
    expected = hashes(corpus / "expected")
    assert hashes(corpus / "own") == {
        f"{row['name']}.wav": expected[f"{row['name']}.wav"] for row in rows
    }
