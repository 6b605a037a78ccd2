r"""Optical character recognition with a parser, compared with the model reader-equations.

    apt install tesseract-ocr
    pip install --no-deps rapidocr-onnxruntime rapidocr && pip install onnxruntime pyclipper shapely pyyaml \
        omegaconf colorlog
    python benchmarks/ocr.py --data FOLDER

FOLDER holds the published images. Readers: Tesseract, set to one line of text (--psm 7);
RapidOCR's recognition alone on the image cut down to its ink, one at a time as its call takes them, and in
batches as its recogniser would; RapidOCR with its text detection on the whole image, both in version 1
(PP-OCRv4) and in version 3 (PP-OCRv6, from its wheel); and reader-equations, the model of
plugins/quadzoo-reader, which never saw one of these images, in batches and in bf16.

The parser is lenient: it takes any sign that cannot follow an x for the superscript 2, and dashes, crosses
and letters for the signs they look like. Equations of the factored form count with b = r + s, as they are
labelled. For an image that it cannot parse the mean of train is the prediction.

It writes benchmarks/results/ocr.json (ocr-*.json are of other machines): for the test images of the grouped
split and for all 2,000 the share that is exact, the MSE, and images a second on two threads, decoding not
counted: readers take turns, a chunk each, and the speed is the median over chunks. Detection is run on the
test images alone. "load" is how many processes wanted a CPU meanwhile: with more than two threads' worth,
speeds are no figures. Of --readers, `detection` says whether RapidOCR is also run with it. newer-ocr.json
has the recognition of version 3 on the test images, made on a busy machine:

    python benchmarks/ocr.py --data FOLDER --readers rapidocr-3,reader-equations --limit 395 \
        --to benchmarks/results/newer-ocr.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch

from quadzoo import api
from quadzoo.data.decoding import decode
from quadzoo.data.equations import read
from quadzoo.data.geometry import Geometry, fit
from quadzoo.data.sources import DataRequest, open_source
from quadzoo.metrics import scores_of
from quadzoo.targets import unscale
from quadzoo.training.run import build_module
from quadzoo.training.task import Placement, Task

HERE = Path(__file__).parent
THREADS = 2
MARGIN = 4  # pixels around the ink
CHUNK = 200  # images that a reader reads at a turn
WARM_UP = 20  # images
REST = 1.0  # seconds between turns: threads of onnxruntime spin on for a while
Answer = tuple[float, ...] | None
Reader = Callable[[list[np.ndarray]], list[Answer]]


def parse(text: str) -> Answer:
    """Return a, b, c, as the published tables label them, of the text that a reader found in an image."""
    text = re.sub(r"\s", "", text)
    text = re.sub("[—–−_~]", "-", text).replace("×", "x").replace("X", "x").replace("*", "x")
    text = text.translate(str.maketrans("OolI|[]{}", "00111()()"))
    text = re.sub(r"x[^\s+\-=()x]", "x²", text)
    found = read(text)
    return found.labels("published") if found else None


def tesseract(images: list[np.ndarray]) -> list[Answer]:
    """Read each image as one line."""

    def one(image: np.ndarray) -> Answer:
        png = cv2.imencode(".png", image)[1].tobytes()
        command = ["tesseract", "stdin", "stdout", "--psm", "7"]
        environment = os.environ | {"OMP_THREAD_LIMIT": "1"}
        done = subprocess.run(command, input=png, capture_output=True, check=True, env=environment)
        return parse(done.stdout.decode())

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, images))


def rapidocr() -> tuple[Reader, Reader, Reader]:
    """Return RapidOCR without detection, on the ink, one by one and in batches, and with it."""
    from rapidocr_onnxruntime import RapidOCR

    engine = RapidOCR(intra_op_num_threads=THREADS)

    def call(images: list[np.ndarray]) -> list[Answer]:
        answers = []
        for one in images:
            lines, _ = engine(colours(ink(one)), use_det=False, use_cls=False)
            answers.append(parse(lines[0][0]) if lines else None)
        return answers

    def recognise(images: list[np.ndarray]) -> list[Answer]:
        lines, _ = engine.text_rec([colours(ink(one)) for one in images])
        return [parse(line[0]) for line in lines]

    def find(images: list[np.ndarray]) -> list[Answer]:
        answers = []
        for one in images:
            boxes, _ = engine(colours(one))
            # From left to right, whatever it took for lines.
            texts = [text for _, text, _ in sorted(boxes or [], key=lambda box: box[0][0][0])]
            answers.append(parse("".join(texts)))
        return answers

    return call, recognise, find


def rapidocr_3() -> tuple[Reader, Reader, Reader]:
    """Return version 3 of RapidOCR likewise."""
    from rapidocr import RapidOCR
    from rapidocr.ch_ppocr_rec import TextRecInput

    engine = RapidOCR(
        params={"EngineConfig.onnxruntime.intra_op_num_threads": THREADS, "Global.log_level": "error"}
    )

    def call(images: list[np.ndarray]) -> list[Answer]:
        found = [engine(colours(ink(one)), use_det=False, use_cls=False) for one in images]
        return [parse(one.txts[0]) if one.txts else None for one in found]

    def recognise(images: list[np.ndarray]) -> list[Answer]:
        found = engine.text_rec(TextRecInput(img=[colours(ink(one)) for one in images]))
        return [parse(text) for text in found.txts]

    def find(images: list[np.ndarray]) -> list[Answer]:
        answers = []
        for one in images:
            found = engine(colours(one), use_det=True, use_cls=True)
            boxes = [] if found.boxes is None else zip(found.boxes, found.txts, strict=True)
            answers.append(parse("".join(text for _, text in sorted(boxes, key=lambda box: box[0][0][0]))))
        return answers

    return call, recognise, find


def colours(image: np.ndarray) -> np.ndarray:
    """Return a grey image in three bands, as RapidOCR takes it."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)


def ink(image: np.ndarray) -> np.ndarray:
    """Return the part of a grey image that is not ground, with a margin."""
    rows, columns = np.nonzero(image < 128)
    top, left = max(0, rows.min() - MARGIN), max(0, columns.min() - MARGIN)
    return image[top : rows.max() + MARGIN + 1, left : columns.max() + MARGIN + 1]


def network(task: Task, placement: Placement, geometry: Geometry) -> Reader:
    """Return the model that a run starts from, fed in batches."""
    module = build_module(task, placement).eval()
    module.head.use_prediction_mode("mode")  # it has the lower val MSE on these images

    def answer(images: list[np.ndarray]) -> list[Answer]:
        batch = torch.from_numpy(np.stack([fit(one, geometry) for one in images]))
        with torch.inference_mode(), torch.autocast("cpu", enabled=task.precision == "bf16"):
            scaled = module.predict(batch.permute(0, 3, 1, 2))
        return list(map(tuple, unscale(scaled.double().numpy(), task.unit)))

    return answer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int, help="so many test images alone, to try this script")
    parser.add_argument("--readers", default="tesseract,rapidocr,rapidocr-3,detection,reader-equations")
    parser.add_argument("--to", type=Path, default=HERE / "results" / "ocr.json")
    arguments = parser.parse_args()
    wanted = arguments.readers.split(",")
    torch.set_num_threads(THREADS)
    plan = api.plan(
        data=arguments.data, init="reader-equations", epochs=0, device="cpu", precision="bf16", progress=True
    )
    (task,), split = plan.tasks, plan.data.folds[0].fold.split
    source = open_source(DataRequest(arguments.data))
    # Test first: a reader that is given a part of the images is given these.
    rest = np.setdiff1d(np.arange(len(source)), split.test)
    test = split.test[: arguments.limit]
    rows = test if arguments.limit else np.concatenate([test, rest])
    images = [decode(source.path(row).read_bytes()).pixels for row in rows]

    readers: dict[str, tuple[Reader, int, str]] = {}
    if "tesseract" in wanted:
        said = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=True)
        readers["Tesseract"] = tesseract, len(rows), said.stdout.split("\n")[0]
    for name, title, package, make in (
        ("rapidocr", "RapidOCR", "rapidocr-onnxruntime", rapidocr),
        ("rapidocr-3", "RapidOCR 3 (PP-OCRv6)", "rapidocr", rapidocr_3),
    ):
        if name in wanted:
            call, recognise, find = make()
            software = ", ".join(f"{one} {version(one)}" for one in (package, "onnxruntime"))
            readers[f"{title}, recognition alone"] = call, len(rows), software
            readers[f"{title}, recognition alone, in batches"] = recognise, len(rows), software
            if "detection" in wanted:
                readers[f"{title}, with detection"] = find, len(test), software
    if "reader-equations" in wanted:
        read = network(task, plan.placement(task), plan.data.images.geometry)
        readers["reader-equations"] = read, len(rows), f"quadzoo-reader {version('quadzoo-reader')}"
    answers: dict[str, list[Answer]] = {name: [] for name in readers}
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for reader, _, _ in readers.values():
        reader(images[:WARM_UP])
    for start in range(0, len(rows), CHUNK):
        for name, (reader, n, _) in readers.items():
            chunk = images[start : min(start + CHUNK, n)]
            if chunk:
                time.sleep(REST)
                clock = time.perf_counter()
                answers[name] += reader(chunk)
                rates[name].append(len(chunk) / (time.perf_counter() - clock))

    mean = source.targets[split.train].mean(axis=0)
    results = []
    for name, (_, n, software) in readers.items():
        found = np.array([mean if answer is None else answer for answer in answers[name]])
        scores = {
            side: {"n": size, "exact": score["exact"], "mse": score["mse"]}
            for side, size in {"test": len(test), "all": len(source)}.items()
            if size <= n
            for score in [scores_of(found[:size], source.targets[rows[:size]], task.targets)]
        }
        rate = statistics.median(rates[name])
        results.append({"reader": name, "software": software, "scores": scores, "images_per_second": rate,
                        "slowest_and_fastest": [min(rates[name]), max(rates[name])]})  # fmt: skip
        print(name, scores, f"{rate:.1f} images/s", flush=True)
    units: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch does not say
    result = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": plan.device.name,
        "threads": THREADS,
        "load": round(os.getloadavg()[1], 1),
        "bf16 units": sorted(name for name, there in units.items() if there and "bf16" in name),
        "precision of reader-equations": task.precision,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "data": {"name": source.name, "hash": plan.data.images.hash},
        "split": {"name": split.name, "hash": split.hash},
        "results": results,
    }
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    arguments.to.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
