"""Full disks, killed processes, two writers, folders that refuse: what was there is still there."""

import contextlib
import os
import pwd
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from svae_helpers import (
    VAE,
    fit,
    load_checkpoint,
    load_mnist,
    runs,
    save_checkpoint,
    seed_everything,
    whole_files,
)
from svae_helpers.measures import MEASURES
from svae_helpers.settings import Setting, as_text
from svae_helpers.sweep import read_sweep, sweep

ROOT = Path(__file__).parents[1]
NOBODY = 65534
SETTINGS = [Setting(seed=seed, epochs=1, latent_dim=2) for seed in range(3)]


def tiny(seed=0):
    seed_everything(seed)
    return VAE(3, hidden_dim=8, data_dim=25)


def run(setting):
    return as_text(setting) | {name: f"{setting.seed}.5" for name in MEASURES}


@pytest.fixture(autouse=True)
def no_training(monkeypatch):
    monkeypatch.setattr(runs, "run", run)


def silent(_line):
    pass


def python(code: str, *arguments: object, **settings) -> subprocess.CompletedProcess:
    """Run code in a process of its own; the words of a test are its arguments."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **settings)


# ---- a full disk, by a limit on the size of a file


@contextlib.contextmanager
def largest_file(size: int):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_does_not_fit_leaves_the_old_one(tmp_path):
    path = tmp_path / "model.pt"
    model = tiny()
    save_checkpoint(path, model)
    before = path.read_bytes()
    history = fit(model, torch.rand(9, 25), epochs=1, device="cpu", progress=False)
    words = r"cannot write .*model\.pt: File too large\. The file that was there is as it was"
    with largest_file(len(before) // 2), pytest.raises(OSError, match=words):
        save_checkpoint(path, model, history)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["model.pt"]
    save_checkpoint(path, model, history)  # once there is room
    assert load_checkpoint(path, tiny()) == history


def test_a_first_checkpoint_that_does_not_fit_leaves_nothing(tmp_path):
    with largest_file(1_000), pytest.raises(OSError, match="No file was made"):
        save_checkpoint(tmp_path / "model.pt", tiny())
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_does_not_fit_is_said_and_the_others_stay(tmp_path):
    path, said = tmp_path / "sweep.csv", []
    sweep(SETTINGS[:2], path, silent)
    before = path.read_bytes()
    with largest_file(len(before)), pytest.raises(OSError, match=r"cannot write .*sweep\.csv"):
        sweep(SETTINGS, path, said.append)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    (row,) = [line.removeprefix("not written: ") for line in said if line.startswith("not w")]
    sweep(SETTINGS, tmp_path / "whole.csv", silent)
    assert row == (tmp_path / "whole.csv").read_text().splitlines()[-1]
    assert sweep(SETTINGS, path, silent) == 1  # and with room the sweep goes on
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()


# ---- kill -9

KEEP_SAVING = """
import sys
import torch
from svae_helpers import VAE, History, save_checkpoint
model = VAE(3, hidden_dim=64, data_dim=784)
for number in range(100_000):
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(number)
    save_checkpoint(sys.argv[1], model)
    if not number:
        print("saving", flush=True)
"""


def test_a_checkpoint_is_whole_whenever_its_writer_is_killed(tmp_path):
    path, model = tmp_path / "model.pt", VAE(3, hidden_dim=64, data_dim=784)
    waits = random.Random(0)
    for _ in range(3):
        command = [sys.executable, "-c", KEEP_SAVING, str(path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"saving\n"
            time.sleep(waits.uniform(0.02, 0.2))
            process.kill()
        load_checkpoint(path, model)
        values = set(torch.cat([w.detach().flatten() for w in model.parameters()]).tolist())
        assert len(values) == 1  # of one save, not of two


@pytest.mark.parametrize("dies_at", ["os.replace", "os.fsync"])
def test_a_save_killed_at_its_worst_leaves_the_old_checkpoint(tmp_path, dies_at):
    path = tmp_path / "model.pt"
    save_checkpoint(path, tiny(seed=1))
    code = (
        "import os, sys; from svae_helpers import VAE, save_checkpoint;"
        f"{dies_at} = lambda *_: os.kill(os.getpid(), 9);"
        "save_checkpoint(sys.argv[1], VAE(3, hidden_dim=8, data_dim=25))"
    )
    assert python(code, path).returncode == -signal.SIGKILL
    model = tiny(seed=2)
    load_checkpoint(path, model)
    assert torch.equal(model.encoder.hidden.weight, tiny(seed=1).encoder.hidden.weight)
    save_checkpoint(path, model)


# ---- two sweeps on one file; that a killed one loses no row, tests/test_sweep.py says

WRITER = """
import contextlib, sys, time
from pathlib import Path
from svae_helpers import runs, sweep as room, tables
from svae_helpers.measures import MEASURES

path, first, last, lock = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
runs.run = lambda s: room.as_text(s) | {name: f"{s.seed}.5" for name in MEASURES}
if lock == "none":
    tables.locked = lambda folder: contextlib.nullcontext()
write = tables.write_whole

def slowly(*what):
    time.sleep(0.01)  # between reading the table and writing it
    write(*what)

tables.write_whole = slowly
print("ready", flush=True)
sys.stdin.readline()
settings = [room.Setting(seed=seed, epochs=1, latent_dim=2) for seed in range(first, last)]
room.sweep(settings, path, lambda line: None)
"""


def seeds_of_two_sweeps(path: Path, lock: str) -> list[int]:
    """Seeds in the file after two processes have added 0 to 11 and 8 to 19 at the same time."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(first), str(first + 12), lock],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in (0, 8)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    return sorted(read_sweep(path)["seed"])


@pytest.mark.skipif(whole_files.fcntl is None, reason="no lock on a folder here")
def test_two_sweeps_on_one_file_lose_no_row_and_double_none(tmp_path):
    assert seeds_of_two_sweeps(tmp_path / "sweep.csv", "folder") == list(range(20))
    assert len(list(tmp_path.iterdir())) == 1


def test_without_the_lock_rows_would_be_lost(tmp_path):
    assert seeds_of_two_sweeps(tmp_path / "sweep.csv", "none") != list(range(20))


# ---- a folder that may be read only


@pytest.fixture
def read_only():
    """A folder with a checkpoint and a table, that this process may read but not change."""
    folder = Path(tempfile.mkdtemp())  # not below pytest's own folder, which is its owner's alone
    save_checkpoint(folder / "model.pt", tiny())
    sweep(SETTINGS[:1], folder / "sweep.csv", silent)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:  # whom permissions do not bind
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_read_only_folder_is_said_before_the_first_training(read_only, monkeypatch):
    trained = []
    monkeypatch.setattr(runs, "run", lambda setting: trained.append(setting) or run(setting))
    with pytest.raises(PermissionError, match=r"cannot write .*sweep\.csv: Permission denied"):
        sweep(SETTINGS, read_only / "sweep.csv", silent)
    assert trained == [] and read_sweep(read_only / "sweep.csv")["seed"].tolist() == [0]


def test_a_read_only_folder_keeps_its_checkpoint(read_only):
    before = (read_only / "model.pt").read_bytes()
    with pytest.raises(PermissionError, match="The file that was there is as it was"):
        save_checkpoint(read_only / "model.pt", tiny(seed=1))
    with pytest.raises(PermissionError, match=r"cannot write .*new\.pt.*No file was made"):
        save_checkpoint(read_only / "deeper" / "new.pt", tiny())
    load_checkpoint(read_only / "model.pt", tiny(seed=1))
    assert (read_only / "model.pt").read_bytes() == before


def test_a_folder_that_is_missing_is_made(tmp_path):
    save_checkpoint(tmp_path / "a" / "b" / "model.pt", tiny())
    load_checkpoint(tmp_path / "a" / "b" / "model.pt", tiny(seed=1))


# ---- where the course lies, and no home

EVERYTHING = """
import sys
from pathlib import Path
import svae_helpers as sh
from svae_helpers import checks, plotting, sweep
train, test = sh.load_mnist()
model = sh.VAE(2, hidden_dim=8)
history = sh.fit(model, train.images[:50], epochs=1, progress=False, device="cpu")
sh.save_checkpoint("größe 1.pt", model, history)
assert sh.load_checkpoint("größe 1.pt", sh.VAE(2, hidden_dim=8)) == history
sweep.sweep([], Path("table of runs.csv"))
plotting.use_course_style()
plotting.plot_digits(test.images[:4], plotting.plt.figure().gca())
plotting.plt.savefig("bild №1.png")
print(Path(sh.__file__).parent.parent)
"""


def test_a_clone_may_lie_in_a_folder_with_spaces_and_other_letters(tmp_path):
    clone = tmp_path / "Übung № 1 (копия), it's mine"
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "svae_helpers", clone / "svae_helpers", ignore=no_caches)
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", EVERYTHING]
    done = subprocess.run(
        command, cwd=clone, env=without | {"MPLBACKEND": "agg"}, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1:] == [str(clone)], done.stderr
    assert (clone / "größe 1.pt").is_file() and (clone / "bild №1.png").is_file()


@pytest.mark.parametrize("home", [None, "/dev/null/home"])
def test_a_machine_without_a_home_computes_draws_and_saves(tmp_path, home):
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    environment |= {} if home is None else {"HOME": home}
    environment |= {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", EVERYTHING]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == [str(ROOT)], done.stderr


def test_a_machine_that_knows_no_home_asks_for_a_folder(monkeypatch, tmp_path):
    def unknown(_user):
        raise KeyError("no such user")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(ValueError, match=r"no home folder for ~.*: name a folder by root="):
        load_mnist("full")
    with pytest.raises(FileNotFoundError, match=r"MNIST is incomplete"):
        load_mnist("full", root=tmp_path)
