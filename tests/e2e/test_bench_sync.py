"""`paude bench sync`, short: each kind of edit and each other program that is installed is measured."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from laptop import Laptop

pytestmark = pytest.mark.cluster


# The cluster's build has mutagen's own program, which takes ten seconds for each edit.
MUTAGEN = f"{os.environ.get('PAUDE_TEST_BIN') or Path.home() / '.cache/paude-test/bin'}:"


@pytest.mark.parametrize("more", ["", pytest.param(MUTAGEN, marks=pytest.mark.slow)], ids=["", "mutagen"])
def test_the_sync_is_measured_beside_others_over_the_same_tunnel(laptop: Laptop, more: str) -> None:
    stock = f"{more}{os.environ['PATH']}"
    words = ("bench", "sync", "--files", "200", "--edits", "2", "-o", "json")
    found = json.loads(laptop.paude(*words, PATH=stock).stdout)
    assert found["files"] == 200
    assert found["first_sync_mb_s"] > 0
    assert len(found["latencies"]) == 4
    assert all(one["count"] == 2 and one["p99"] > 0 for one in found["latencies"].values())
    assert found["bursts"].keys() == {"laptop to pod", "pod to laptop"}
    peers = {one["name"]: one for one in found["peers"]}
    assert peers.keys() == {"rsync -a", "rsync -a -z", "unison", "mutagen"}
    for name, one in peers.items():
        if shutil.which(name.split()[0], path=stock):
            assert one["why_not"] == ""
            assert one["first_s"] > 0
            assert one["edit"]["count"] == 5
        else:
            assert "not installed" in one["why_not"]
    assert not laptop.records()
