from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from quadzoo.data.finder import ImageFinder, NotFound, images_under


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    nfd = unicodedata.normalize("NFD", "Äpfel")
    for name in ("0007.JPG", "P10.png", "deep/down/x.png", f"{nfd}/ü.png", "twice/a.png", "other/a.png"):
        (tmp_path / "img" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "img" / name).write_bytes(b"")
    return tmp_path / "img"


@pytest.mark.parametrize("identity", ["Äpfel/ü.png", "Äpfel/ü", "./Äpfel/ü", "A\u0308pfel/u\u0308"])
def test_folders_and_names_in_either_normal_form(folder: Path, identity: str) -> None:
    found = ImageFinder(folder).find(identity)
    assert (folder / found).is_file()
    assert unicodedata.normalize("NFC", found) == "Äpfel/ü.png"


@pytest.mark.parametrize(
    ("identity", "meant"),
    [
        ("7", "0007.JPG"),  # as a spreadsheet writes it
        ("7.0", "0007.JPG"),
        ("0007.jpg", "0007.JPG"),
        ("0007.png", "0007.JPG"),
        ("p10", "P10.png"),
        ("img/P10.png", "P10.png"),
        ("img\\P10.png", "P10.png"),
        ("deep\\down\\x.png", "deep/down/x.png"),
        ("C:\\data\\P10.png", "P10.png"),
        ("/elsewhere/P10.png", "P10.png"),
        ("x.png", "deep/down/x.png"),
        ("ü", None),  # the name on disk is in two parts: any hint has to be the whole path
        ("a.png", None),  # there are two
        ("nothing", None),
        ("P10\0.png", None),
        ("x" * 5000, None),
    ],
)
def test_what_was_probably_meant(folder: Path, identity: str, meant: str | None) -> None:
    with pytest.raises(NotFound) as error:
        ImageFinder(folder).find(identity)
    said = str(error.value)
    if meant:
        assert said.endswith(f"; did you mean {meant!r}?")
    elif identity == "a.png":
        assert "did you mean" not in said
    assert len(said.replace(str(folder), "")) < 200


def test_names_that_are_no_utf8(folder: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.png")
    (folder / name).write_bytes(b"")
    assert name in set(images_under(folder))
    finder = ImageFinder(folder)
    assert finder.finds("P10")
    assert not finder.finds("\ufffd\ufffd.png")


@pytest.mark.posix
@pytest.mark.parametrize("identity", ["{}.png", "{}", "img/{}.png", "{}.jpg"])
def test_what_is_in_the_place_of_an_image_is_told(folder: Path, identity: str) -> None:
    (folder / "annexed.png").symlink_to("../.git/annex/objects/SHA256E-1.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "device.png").symlink_to("/dev/zero")
    finder = ImageFinder(folder)
    for name, told in (
        ("annexed", "'annexed.png' is a link that leads nowhere"),
        ("pipe", "'pipe.png' is no regular file, but a pipe or a device"),
        ("device", "'device.png' is no regular file, but a pipe or a device"),
    ):
        with pytest.raises(NotFound) as error:
            finder.find(identity.format(name))
        assert told in str(error.value)
        assert "did you mean" not in str(error.value)
        assert finder.file_of(identity.format(name)) is None
