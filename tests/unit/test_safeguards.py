"""What keeps a fine-tuning run from ending without a word: status, lock, room, and words for every trouble."""

import errno
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from pairalign.lock import LockedError, exclusive, holder
from pairalign.training import safeguards, status
from pairalign.training.corpora import DataError
from pairalign.training.finetune_settings import FinetuneSettings
from pairalign.training.status import Status, read_status, write_status

SETTINGS = FinetuneSettings("mine", "data")


def test_status_survives_a_full_disk_and_rubbish(tmp_path: Path, monkeypatch):
    write_status(tmp_path, Status("running", step=3))
    real = status.atomic_write_json

    def full_at_first(path, content):
        if (tmp_path / status.RESERVE_FILE).exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(status, "atomic_write_json", full_at_first)
    write_status(tmp_path, Status("failed", "The disk is full."))
    assert read_status(tmp_path).message == "The disk is full."
    for rubbish in ("", "[]", '{"state": "flying"}', '{"state": 3}'):
        (tmp_path / status.STATUS_FILE).write_text(rubbish)
        assert read_status(tmp_path) is None


def test_the_lock_tells_who_holds_it_and_goes_with_the_holder(tmp_path: Path):
    path = tmp_path / "lock"
    assert holder(path) is None and not list(tmp_path.iterdir()), "a look leaves nothing where nobody ever trained"
    with exclusive(path, "run one"):
        assert holder(path) == "run one"
        with pytest.raises(LockedError, match="run one"), exclusive(path, "run two", wait_s=0.1):
            pass
    assert holder(path) is None
    with exclusive(path, "run two"):
        assert holder(path) == "run two"


HOLD = (
    "import sys, time\nfrom pathlib import Path\nfrom pairalign.lock import exclusive\n"
    "with exclusive(Path(sys.argv[1]), 'a killed run'):\n    print('held', flush=True)\n    time.sleep(60)\n"
)


def test_many_looks_at_once_after_a_kill_see_nobody_and_let_a_run_start(tmp_path: Path):
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n" and holder(path) == "a killed run"
        process.kill()
    left = (tmp_path / "lock.owner").read_bytes()
    assert left == b"a killed run", "the dead owner's name stays behind"

    def look(_: int) -> set[str | None]:
        return {holder(path) for _ in range(20) if (tmp_path / "lock.owner").write_bytes(left)}

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(look, range(8))) == {None}, "those who look do not take each other for the owner"
        looks = pool.map(lambda _: [holder(path) for _ in range(100)], range(7))
        (tmp_path / "lock.owner").write_bytes(left)
        with exclusive(path, "run", wait_s=0):
            assert holder(path) == "run"
        assert set().union(*looks) <= {"run", None}


def test_a_lock_that_cannot_be_made_is_a_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LockedError, match=r"cannot be made \(.*PAIRALIGN_HOME"), exclusive(tmp_path / "file" / "lock"):
        pass
    assert holder(tmp_path / "file" / "lock") is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (torch.OutOfMemoryError("CUDA out of memory"), "batch of 24"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "batch of 24"),
        (safeguards.DivergedError("not finite"), "got worse"),
        (DataError("Only 2 clips."), "Only 2 clips."),
        (KeyError("x"), "on our side"),
    ],
)
def test_every_trouble_has_words_and_a_next_step(error: Exception, said: str):
    trouble = safeguards.explain(error, SETTINGS, Path("run"))
    assert said in trouble.message
    assert trouble.advice or isinstance(error, DataError)
    assert trouble.ours == isinstance(error, KeyError)


def test_a_rising_loss_is_noticed_and_a_noisy_one_is_not():
    rng = np.random.default_rng(0)
    calm, rising = safeguards.RisingLoss(), safeguards.RisingLoss()
    assert not any(calm(3 + rng.normal(0, 0.5)) for _ in range(300))
    assert any(rising(3 + 0.05 * k) for k in range(200))


def test_room_is_looked_for_before_the_start(tmp_path: Path):
    safeguards.require_space(tmp_path, 1_000)
    with pytest.raises(OSError) as caught:
        safeguards.require_space(tmp_path, 10**15)
    assert caught.value.errno == errno.ENOSPC
