from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from quadzoo.data.cache import ImageSet, clear, contents, in_use, prepare
from quadzoo.data.geometry import Resize
from quadzoo.data.sources import DataRequest, Source, open_source
from quadzoo.data.survey import Originals
from quadzoo.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that no other test uses."""
    cache = tmp_path_factory.mktemp("own")
    monkeypatch.setenv("QUADZOO_CACHE_DIR", str(cache))
    return cache


def source_of(folder: Path) -> Source:
    names = sorted(path.name for path in (folder / "photos").iterdir())
    (folder / "t.csv").write_text("id,y\n" + "".join(f"{name},{i}\n" for i, name in enumerate(names)))
    return open_source(DataRequest(str(folder / "t.csv"), folder / "photos", ("y",)))


def prepared(folder: Path, image_size: str = "32", resize: Resize = "letterbox") -> ImageSet:
    return prepare(source_of(folder), image_size, resize)


def save(folder: Path, name: str, image: np.ndarray) -> None:
    assert cv2.imwrite(str(folder / "photos" / name), image)


def save_noise(folder: Path, n: int, side: int = 32) -> None:
    rng = np.random.default_rng(0)
    for index in range(n):
        save(folder, f"{index:05d}.bmp", rng.integers(0, 255, (side, side), dtype=np.uint8))


# What a process of its own does: prepare("folder", "extra lines before").
SCRIPT = """
import sys, time
from pathlib import Path
from quadzoo.data import cache, sources
{before}
folder = Path(sys.argv[1])
source = sources.open_source(sources.DataRequest(str(folder / "t.csv"), folder / "photos", ("y",)))
images = cache.prepare(source, sys.argv[2])
{after}
"""


def start(folder: Path, size: str = "32", before: str = "", after: str = "") -> subprocess.Popen[str]:
    script = SCRIPT.format(before=before, after=after)
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", script, str(folder), size]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def test_identical_pixels_are_counted_whatever_the_file(folder: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)
    save(folder, "a.png", image)
    save(folder, "b.bmp", image)
    save(folder, "c.png", cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    save(folder, "d.png", 255 - image)
    result = prepared(folder)
    assert result.duplicates == 2
    first, second, third, fourth = result.content_ids
    assert first == second == third != fourth
    assert (result.digests.dtype, result.digests.shape) == (np.uint8, (4, 32))
    expected = hashlib.sha256(b"(32, 32)" + image.tobytes()).digest()
    assert [row.tobytes() == expected for row in result.digests] == [True, True, True, False]
    assert result.geometry.channels == 1
    array = np.load(result.file)
    assert (array.dtype, array.shape) == (np.uint8, (4, 32, 32, 1))
    assert np.array_equal(array[1, :, :, 0], image)


def test_cached_by_content(folder: Path, own_cache: Path) -> None:
    image = np.zeros((32, 32), np.uint8)
    image[5:20, 5:20] = 200
    save(folder, "a.png", image)
    save(folder, "b.png", image.T[::-1].copy())
    done: list[int] = []
    first = prepare(source_of(folder), "32", advance=done.append)
    assert sum(done) == 4
    assert prepare(source_of(folder), "32", advance=done.append).file == first.file
    assert sum(done) == 8
    save(folder, "b.png", 255 - image)
    changed = prepare(source_of(folder), "32", advance=done.append)
    assert sum(done) == 12
    assert changed.file != first.file
    assert changed.hash != first.hash
    assert not np.array_equal(np.load(changed.file), np.load(first.file))
    assert not list(own_cache.rglob("*.partial"))


def test_size_and_resize_have_files_of_their_own(folder: Path) -> None:
    save_noise(folder, 2)
    files = {prepared(folder, *how).file for how in (("auto",), ("48",), ("48x64",), ("48x64", "stretch"))}
    assert len(files) == 4
    assert len({prepared(folder, "48").hash, prepared(folder, "48x64").hash}) == 1


def test_names_of_cached_files_stay(own_cache: Path, folder: Path) -> None:
    """Another name would decode everybody's images again; those that a model sees have one of their own."""
    save(folder, "a.png", np.zeros((32, 32), np.uint8))
    digest = hashlib.sha256((folder / "photos" / "a.png").read_bytes()).digest()
    images = prepared(folder, "32x48")
    assert images.file.stem == hashlib.sha256(b"4 (32, 48) letterbox" + digest).hexdigest()[:24]
    assert prepared(folder, "auto").file.stem == hashlib.sha256(b"4 None letterbox" + digest).hexdigest()[:24]
    views = [replace(images.geometry, crop=None, max_scale=scale) for scale in (None, 1.0)]
    files = {prepare(source_of(folder), "32x48", like=view).file for view in views}
    assert len({images.file, *files}) == 3


def test_hash_depends_on_targets_not_on_place(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    save(folder, "a.png", np.eye(32, dtype=np.uint8))
    other = tmp_path_factory.mktemp("other")
    (other / "photos").mkdir()
    save(other, "a.png", np.eye(32, dtype=np.uint8))
    assert prepared(folder).hash == prepared(other).hash
    (other / "t.csv").write_text("id,y\na,5\n")
    source = open_source(DataRequest(str(other / "t.csv"), other / "photos", ("y",)))
    assert prepare(source, "32").hash != prepared(other).hash


def test_unreadable_image_names_file_and_row(folder: Path, own_cache: Path) -> None:
    save(folder, "a.png", np.zeros((32, 32), np.uint8))
    (folder / "photos" / "b.png").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"t\.csv: row 3: image .*b\.png is unreadable \(not an image"):
        prepared(folder)
    assert not list(own_cache.rglob("*.npy"))


def test_a_image_that_vanishes(folder: Path) -> None:
    save_noise(folder, 2)
    source = source_of(folder)
    (folder / "photos" / "00001.bmp").unlink()
    with pytest.raises(DataError, match=r"row 3: image .*00001\.bmp is unreadable \(.*No such file"):
        prepare(source, "32")


def test_two_processes_at_once(folder: Path, own_cache: Path) -> None:
    save_noise(folder, 300)
    source = source_of(folder)
    counting = (
        "from quadzoo.data import reading\ndecoded = []\noriginal = reading.decode\n"
        "reading.decode = lambda *a: (decoded.append(1), time.sleep(0.002), original(*a))[-1]"
    )
    both = [start(folder, before=counting, after="print(images.file, len(decoded))") for _ in range(2)]
    answers = [process.communicate()[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0][0] == answers[1][0]
    assert sorted(int(count) for _, count in answers) == [0, 300]  # one decodes, the other waits for it
    result = prepare(source, "32")
    assert str(result.file) == answers[0][0]
    expected = cv2.imread(str(source.path(299)), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(np.load(result.file)[299, :, :, 0], expected)


def test_killed_while_decoding(folder: Path, own_cache: Path) -> None:
    save_noise(folder, 20)
    source_of(folder)
    stuck = (
        "import os\n"
        "def fit(*a):\n    os.write(1, b'fitting\\n')\n    time.sleep(60)\n"  # print() is not one write
        "cache.fit = fit"
    )
    process = start(folder, before=stuck)
    assert process.stdout
    assert process.stdout.readline() == "fitting\n"
    process.kill()
    process.communicate()
    assert len(list(own_cache.rglob("*.partial"))) == 1
    assert np.load(prepared(folder).file).shape == (20, 32, 32, 1)
    assert not list(own_cache.rglob("*.partial"))  # the next writer has swept it
    prepared(folder, "48")
    assert clear() == 0
    assert {path.suffix for path in own_cache.rglob("*") if path.is_file()} == {".lock"}


@pytest.mark.posix
def test_memory_does_not_grow_with_the_data(folder: Path, own_cache: Path) -> None:
    """100 MB of cached images more, no 30 MB of memory more."""
    peak = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    peaks = []
    for n in (300, 6700):
        save_noise(folder, n, side=16)
        source_of(folder)
        answer, _ = start(folder, "128", after=peak).communicate()
        peaks.append(int(answer))
    (large,) = [one for one in contents() if one.images == 6700]
    assert large.bytes > 100e6
    assert peaks[1] - peaks[0] < 30_000  # KiB


def test_contents_and_clear(folder: Path, own_cache: Path) -> None:
    assert contents() == []
    save_noise(folder, 3)
    older, newer = prepared(folder), prepared(folder, "64x48")
    prepared(folder)  # used again, the latest by now
    assert [one.path for one in contents()] == [older.file, newer.file]
    assert [(one.name, one.images, one.size) for one in contents()] == [
        ("t", 3, (32, 32, 1)),
        ("t", 3, (64, 48, 1)),
    ]
    assert contents()[0].bytes > 3 * 32 * 32
    assert clear() == 0
    assert contents() == []
    assert np.load(prepared(folder).file).shape == (3, 32, 32, 1)


def test_what_is_in_use_stays(folder: Path, own_cache: Path) -> None:
    save_noise(folder, 3)
    images, idle = prepared(folder), prepared(folder, "64")
    holding = "with cache.in_use(images):\n    print('held', flush=True)\n    sys.stdin.readline()"
    holders = [start(folder, after=holding) for _ in range(2)]  # two benches can hold it
    for holder in holders:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
    assert clear() == 1
    assert images.file.exists()
    assert not idle.file.exists()
    for holder in holders:
        holder.kill()
        holder.communicate()
    assert clear() == 0
    assert not images.file.exists()
    with pytest.raises(DataError, match="cleared meanwhile"), in_use(images):
        pass


@pytest.mark.posix
def test_a_full_disk_is_one_line(folder: Path, own_cache: Path) -> None:
    save_noise(folder, 3)
    source_of(folder)
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"
    failing = start(folder, before=limit + "\nimport sys; sys.excepthook = lambda *e: print(e[1])")
    answer, _ = failing.communicate()
    assert failing.returncode == 1
    assert "File too large; set QUADZOO_CACHE_DIR to another one" in answer.replace("\n", " ")
    assert not list(own_cache.rglob("*.partial"))


def test_published_images(published: Path) -> None:
    result = prepare(open_source(DataRequest(str(published))), "auto")
    assert result.duplicates == 161
    assert result.geometry.size == (32, 200)
    assert result.geometry.channels == 1
    # lossless: the ink that facts about the data promise, grey level by grey level
    first = cv2.imread(str(published / "Images of Equations" / "eqn_0000.png"), cv2.IMREAD_GRAYSCALE)
    top, left, bottom, right = result.geometry.crop or (0, 0, 0, 0)
    assert np.array_equal(np.load(result.file, mmap_mode="r")[0, :, :, 0], first[top:bottom, left:right])


def test_it_is_known_how_large_the_images_were(folder: Path, own_cache: Path) -> None:
    rng = np.random.default_rng(0)
    for name, shape in (("a.png", (20, 30)), ("b.png", (25, 28, 3)), ("c.png", (22, 40))):
        save(folder, name, rng.integers(0, 255, shape, dtype=np.uint8))
    first, again = prepared(folder), prepared(folder)
    assert first.originals == again.originals == Originals((20, 25), (28, 40), (1, 3))
