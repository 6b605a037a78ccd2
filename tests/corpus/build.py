"""Build the bad inputs of the corpus: tables, divisions, images, files that are none, plugins, suites.

Everything is written into one folder, from which the commands of `cases.csv` are run; so their lines have
no paths of a machine in them. What a run has left is spoiled in `spoil`.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from tests.corpus.bad_images import images, png

N = 24  # good images
LONG = "x" * 300  # longer than a file's name may be
HUGE = "x" * 5000  # longer than a path may be
DIGITS = "9" * 5000  # more than Python makes a number of
_GOOD = [f"p{i:02d},{i}" for i in range(N)]


def _table(*rows: str, header: str = "id,y", end: str = "\n") -> bytes:
    return (end.join([header, *rows]) + end).encode()


def _but(row: int, text: str, header: str = "id,y") -> bytes:
    """Return the good table with one other row."""
    rows = list(_GOOD)
    rows[row] = text
    return _table(*rows, header=header)


# Row numbers, as it were, that are names of images, too, and the names that are meant.
_CROSSED = [f"p{i:02d},p{i * 7 % N:02d}.png,{i}" for i in range(N)]

TABLES: dict[str, bytes] = {
    "good": _table(*_GOOD),
    "empty": b"",
    "blank": b"\n\n \n",
    "header": b"id,y\n",
    "one": _table("p00,1"),
    "two": _table("p00,1", "p01,2"),
    "nul": _but(3, "p03,\0"),
    "nuls": b"\0" * 4000,
    "padded": _table(*_GOOD) + b"\0" * 100,
    "latin1": "id,größe\np00,1\n".encode("latin-1"),
    "utf16": "id,y\np00,1\n".encode("utf-16-le"),
    "utf32": "id,y\np00,1\n".encode("utf-32"),
    "utf16cut": ("id,y\n" + "\n".join(_GOOD)).encode("utf-16")[:-1],
    "surrogate": b"id,y\np\xed\xa0\x80,1\n",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0",
    "zip": b"PK\x03\x04\0\0\0\0",
    "parquet": b"PAR1\0\0\0\0PAR1",
    "xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "sqlite": b"SQLite format 3\0",
    "pdf": b"%PDF-1.7\n",
    "json": b'{"id": "p00"}\n',
    "html": b"<html><table></table>\n",
    "ragged": _but(4, "p04,4,4"),
    "short": _but(4, "p04"),
    "quote": _but(4, '"p04,4'),
    "quotes": _but(4, 'p04,"4"5'),
    "newline": _but(4, '"p04\np05",4'),
    "again": _but(4, "id,y"),
    "twice": _but(4, "p03,3"),
    "differs": _but(4, "p03,9"),
    "lost": _but(4, "lost,4"),
    "noid": _but(4, ",4"),
    "parent": _but(4, "../p04,4"),
    "passwd": _but(4, "../../../../../../etc/passwd,4"),
    "absolute": _but(4, "/etc/passwd,4"),
    "escape": _but(4, "\x1b[31mp04\x1b[0m,4"),
    "longid": _but(4, f"{LONG},4"),
    "hugeid": _but(4, f"{HUGE},4"),
    "nan": _but(4, "p04,nan"),
    "inf": _but(4, "p04,inf"),
    "hole": _but(4, "p04,"),
    "text": _but(4, "p04,four"),
    "percent": _but(4, "p04,4%"),
    "percents": _table(*(f"p{i:02d},{i}%" for i in range(N))),
    "brackets": _but(4, "p04,(4.5)"),
    "behind": _but(4, "p04,4.5-"),
    "millions": _but(4, "p04,4.5M"),
    "units": _table(*(f"p{i:02d},{i} {'mm' if i % 2 else 'cm'}" for i in range(N))),
    "numbered": _table(*_CROSSED, header="id,file,y"),
    "comma": _but(4, 'p04,"4,5"'),
    "thousands": _but(4, "p04,1'000'000x"),
    "beyond": _but(4, "p04,1e30"),
    "overflow": _but(4, "p04,1e999"),
    "digits": _but(4, f"p04,{'9' * 5000}"),
    "longcell": _but(4, f"p04,{HUGE}"),
    "formula": _but(4, "p04,=cmd|' /C calc'!A0"),
    "constant": _table(*(f"p{i:02d},7" for i in range(N))),
    "columns": _table(*_GOOD, header="id,y,y"),
    "nameless": _table(*(f"{one},1" for one in _GOOD), header="id,y,"),
    "noheader": _table(*_GOOD[1:], header=_GOOD[0]),
    "wide": (f"id,{','.join(f'c{i}' for i in range(3000))}\np00" + ",1" * 3000 + "\n").encode(),
    "words": _table(*(f"p{i:02d},word{i}" for i in range(N))),
    "group": _table(*(f"p{i:02d},{i},{'' if i == 3 else i % 5}" for i in range(N)), header="id,y,who"),
    "onegroup": _table(*(f"p{i:02d},{i},all" for i in range(N)), header="id,y,who"),
    "threegroups": _table(*(f"p{i:02d},{i},{i % 2}" for i in range(N)), header="id,y,who"),
    "allempty": _table(*(f"p{i:02d}," for i in range(N))),
    "sep": b"sep=\n" + _table(*_GOOD),
    "bidi": _but(4, "p04\u202e,4"),
    "reserved": _table(*_GOOD, header="id,split"),
    "pipes": _table(*_GOOD).replace(b",", b"|") + b"a|b|c\n",
}

_SIDES = ["train"] * 16 + ["val"] * 4 + ["test"] * 4
_DIVIDED = [f"p{i:02d},{side}" for i, side in enumerate(_SIDES)]


def _division(row: int, text: str) -> bytes:
    rows = list(_DIVIDED)
    rows[row] = text
    return _table(*rows, header="id,split")


SPLITS: dict[str, bytes] = {
    "crossed": _table(
        *(f"p{i:02d},p{i * 7 % N:02d}.png,{side}" for i, side in enumerate(_SIDES)), header="id,image,split"
    ),
    "good": _table(*_DIVIDED, header="id,split"),
    "empty": b"",
    "header": b"id,split\n",
    "columns": _table(*_DIVIDED, header="id,what"),
    "noid": _table(*(one.replace("p", "q", 1) for one in _DIVIDED), header="image,split"),
    "side": _division(3, "p03,somewhere"),
    "longside": _division(3, f"p03,{HUGE}"),
    "emptyside": _division(3, "p03,"),
    "unknown": _division(3, "q03,train"),
    "longid": _division(3, f"{HUGE},train"),
    "twice": _division(3, "p02,train"),
    "both": _division(3, "p02,test"),
    "missing": _table(*_DIVIDED[1:], header="id,split"),
    "notest": _table(*(one.replace("test", "train") for one in _DIVIDED), header="id,split"),
    "noval": _table(*(one.replace("val", "train") for one in _DIVIDED), header="id,split"),
    "notrain": _table(*(one.replace("train", "test") for one in _DIVIDED), header="id,split"),
    "ragged": _division(3, "p03,train,train"),
    "again": _division(3, "id,split"),
    "quote": _division(3, '"p03,train'),
    "latin1": "id,split\npä,train\n".encode("latin-1"),
    "nul": _division(3, "p\x0003,train"),
    "noheader": _table(*_DIVIDED[1:], header=_DIVIDED[0]),
    "image": b"\x89PNG\r\n\x1a\n",
    "escape": _division(3, "p03,\x1b]0;title\x07"),
    "parent": _division(3, "../p03,train"),
    "twocolumns": _table(*(f"{one},{one[4:]}" for one in _DIVIDED), header="id,split,split"),
}

EXTERNALS: dict[str, bytes] = {
    "good": _table(*_GOOD),
    "empty": b"",
    "header": b"id,y\n",
    "twoids": _table(*_GOOD, header="id,id"),
    "notarget": _table(*_GOOD, header="id,z"),
    "twotargets": _table(*(f"{one},1" for one in _GOOD), header="id,y,y"),
    "ragged": _but(4, "p04,4,4"),
    "twice": _but(4, "p03,3"),
    "foreign": _table(*(one.replace("p", "q") for one in _GOOD)),
    "text": _table(*(f"p{i:02d},word" for i in range(N))),
    "nan": _table(*(f"p{i:02d},nan" for i in range(N))),
    "huge": _table(*(f"p{i:02d},1e200" for i in range(N))),
    "hole": _table(*(f"p{i:02d}," for i in range(N))),
    "quote": _but(4, '"p04,4'),
    "latin1": "id,y\npä,1\n".encode("latin-1"),
    "image": b"\x89PNG\r\n\x1a\n",
    "longid": _but(4, f"{HUGE},4"),
    "nul": _but(4, "p04,\0"),
}

_SET = '[sets.one]\ndata = "tables/good.csv"\nimages = "photos"\n'
SUITES: dict[str, bytes] = {
    "empty": b"",
    "nosets": b"epochs = 1\n",
    "setslist": b"sets = [1, 2]\n",
    "setstext": b'sets = "all"\n',
    "setsempty": b"[sets]\n",
    "notoml": b"this is no TOML\n",
    "latin1": 'x = "ä"\n'.encode("latin-1"),
    "binary": bytes(range(256)),
    "nested": b"x = " + b"[" * 5000 + b"]" * 5000 + b"\n",
    "nodata": b"[sets.one]\nepochs = 1\n",
    "nowhere": b'[sets.one]\ndata = "tables/nowhere.csv"\n',
    "unknown": f"eposch = 3\n{_SET}".encode(),
    "unknownset": f"{_SET}eposch = 3\n".encode(),
    "out": f'out = "x"\n{_SET}'.encode(),
    "plugin": f'plugin = ["evil.py"]\n{_SET}'.encode(),
    "table": f"[epochs]\nx = 1\n{_SET}".encode(),
    "setname": b'[sets."../../x"]\ndata = "tables/good.csv"\n',
    "setruns": b'[sets.runs]\ndata = "tables/good.csv"\n',
    "setlong": f'[sets.{LONG}]\ndata = "tables/good.csv"\n'.encode(),
    "setescape": b'[sets."\\u001b[31mred"]\ndata = "tables/good.csv"\n',
    "setvalue": b"[sets]\none = 1\n",
    "twice": f"{_SET}{_SET.replace('one', 'two')}".encode(),
    "again": f"{_SET}{_SET}".encode(),
    "datanumber": b"[sets.one]\ndata = 3\n",
    "datanul": b'[sets.one]\ndata = "a\\u0000b"\n',
    "imagesnul": b'[sets.one]\ndata = "tables/good.csv"\nimages = "a\\u0000b"\n',
    "datalong": f'[sets.one]\ndata = "{HUGE}"\n'.encode(),
    "targetstext": f'{_SET}targets = "y"\n'.encode(),
    "targetsempty": f"{_SET}targets = []\n".encode(),
    "targetsnumbers": f"{_SET}targets = [1, 2]\n".encode(),
    "epochs": f"epochs = -1\n{_SET}".encode(),
    "epochsfloat": f"epochs = 1.5\n{_SET}".encode(),
    "epochsdate": f"epochs = 1979-05-27\n{_SET}".encode(),
    "seedsnan": f"seeds = [nan]\n{_SET}".encode(),
    "seedsbig": f"seeds = [99999999999]\n{_SET}".encode(),
    "lrnan": f"lr = nan\n{_SET}".encode(),
    "lrinf": f"lr = inf\n{_SET}".encode(),
    "recipe": f'recipe = {{ lr = "x" }}\n{_SET}'.encode(),
    "recipename": f'recipe = "best"\n{_SET}'.encode(),
    "bands": f"{_SET}bands = [0]\n".encode(),
    "range": f"{_SET}value_range = [5, 1]\n".encode(),
    "rangenan": f"{_SET}value_range = [nan, 1]\n".encode(),
    "digits": f"batch_size = {'9' * 5000}\n{_SET}".encode(),
    "toobig": b"#" * ((1 << 20) + 1),
}


_SPEC = "from quadzoo import BackboneSpec, HeadSpec, hookimpl\n"


def _registers(what: str, returned: str) -> str:
    return f"{_SPEC}\n@hookimpl\ndef register_{what}():\n    return {returned}\n"


PLUGINS: dict[str, str] = {
    "empty": "",
    "syntax": "def f(:\n",
    "raises": "raise RuntimeError('no\\nway\\x1b[31m')\n",
    "long": "raise RuntimeError('x' * 100_000)\n",
    "imports": "import nothing_of_that_name\n",
    "exits": "import sys\nsys.exit(0)\n",
    "recursion": "def f():\n    f()\nf()\n",
    "nothing": "x = 1\n",
    "nolist": _registers("backbones", "3"),
    "none": _registers("backbones", "None"),
    "strings": _registers("backbones", "['resnet']"),
    "kind": _registers("backbones", "[HeadSpec(name='h', build=print)]"),
    "nobuild": _registers("backbones", "[BackboneSpec(name='b', build=3)]"),
    "noname": _registers("backbones", "[BackboneSpec(name='', build=print)]"),
    "badname": _registers("backbones", "[BackboneSpec(name='a b/../c', build=print)]"),
    "longname": _registers("backbones", "[BackboneSpec(name='x' * 5000, build=print)]"),
    "mean": _registers("backbones", "[BackboneSpec(name='b', build=print, mean=(1, 2))]"),
    "std": _registers("backbones", "[BackboneSpec(name='b', build=print, std=(0, 0, 0))]"),
    "revision": _registers("backbones", "[BackboneSpec(name='b', build=print, revision='a b')]"),
    "unit": _registers("heads", "[HeadSpec(name='h', build=print, unit='metres')]"),
    "taken": _registers("backbones", "[BackboneSpec(name='tiny_cnn', build=print)]"),
    "twice": _registers("heads", "[HeadSpec(name='h', build=print), HeadSpec(name='h', build=print)]"),
    "argument": f"{_SPEC}\n@hookimpl\ndef register_heads(what):\n    return []\n",
    "hook": f"{_SPEC}\n@hookimpl\ndef register_animals():\n    return []\n",
    "raising": f"{_SPEC}\n@hookimpl\ndef register_heads():\n    raise KeyError('h')\n",
}


def build(folder: Path) -> None:
    """Write everything but results into a folder."""
    for i in range(N):
        _write(folder / f"photos/p{i:02d}.png", png(
            np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)))  # fmt: skip
    for place, files in (("tables", TABLES), ("splits", SPLITS), ("externals", EXTERNALS)):
        for name, content in files.items():
            _write(folder / place / f"{name}.csv", content)
    for name, content in SUITES.items():
        _write(folder / f"{name}.toml", content)
    for name, text in PLUGINS.items():
        _write(folder / f"plugins/{name}.py", text.encode())
    _write(folder / "plugins/text.txt", b"x = 1\n")
    _write(folder / "plugins/nul.py", b"x = 1\0\n")
    _write(folder / "plugins/latin1.py", "x = 'ä'\n".encode("latin-1"))
    _write(folder / "plugins/big.py", b"#" * ((4 << 20) + 1))
    for name, content in images().items():
        _write(folder / "images" / name, content)
        rows = [f"photos/p{i:02d},{i}" for i in range(N)]
        _write(folder / f"images/{name}.csv", _table(f"images/{name},3", *rows))
    _weights(folder / "weights")
    _odd(folder / "odd")


def _weights(folder: Path) -> None:
    for name, content in {
        "empty.pt": b"", "text.pt": b"no weights",
        "empty.safetensors": b"", "text.safetensors": b"no weights",
        "pickle.pt": b"cos\nsystem\n(S'touch pwned'\ntR.", "long.safetensors": b"\xff" * 8 + b"{}",
        "zip.bin": b"PK\x03\x04" + b"\0" * 40, "name.txt": b"",
    }.items():  # fmt: skip
        _write(folder / name, content)
    (folder / "folder.pt").mkdir()
    os.mkfifo(folder / "pipe.safetensors")
    os.symlink("/dev/zero", folder / "zero.safetensors")
    os.symlink("/dev/zero", folder / "zero.pt")


def _odd(folder: Path) -> None:
    """Write what is no file: pipes, devices, links that lead nowhere or in circles."""
    (folder / "empty").mkdir(parents=True)
    (folder / "runs" / "runs").mkdir(parents=True)
    for name in ("pipe", "pipe.csv", "pipe.toml", "pipe.py", "pipe.png"):
        os.mkfifo(folder / name)
    for suffix in ("csv", "toml", "py", "png"):
        os.symlink("/dev/zero", folder / f"zero.{suffix}")
    os.symlink("loop", folder / "loop")
    os.symlink("nowhere", folder / "dangling")
    with (folder / "sparse.csv").open("wb") as file:
        file.truncate(1 << 40)
    with (folder / "sparse.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(1 << 40)
    _write(folder / "file", b"x")
    for name in ("sparse.png", "pipe.png", "zero.png"):
        rows = [f"photos/p{i:02d},{i}" for i in range(N)]
        _write(folder / f"{name}.csv", _table(f"odd/{name},3", *rows))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
