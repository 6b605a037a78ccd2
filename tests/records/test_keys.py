"""Keys: of every committed record, and of what changes them and what does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from quadzoo.model.recipe import Recipe
from quadzoo.model.weights import LoadedWeights
from quadzoo.records import keys
from quadzoo.records.keys import NEUTRAL_IMAGE, NEUTRAL_RECIPE, Identity, ImageFacts, Provenance
from quadzoo.records.record import RECORD, RunRecord, read_record_file

from ..report.records import record

ROOT = Path(__file__).parents[2]
PUBLISHED = sorted((ROOT / "benchmarks" / "results").rglob(RECORD))
SHIPPED = sorted((ROOT / "plugins").glob(f"*/src/**/{RECORD}"))

# The fields that every key has had from the first release on. These sets never change: a field that comes
# later belongs in NEUTRAL_RECIPE or NEUTRAL_IMAGE, with the value that does what was done before it existed.
FIRST_RECIPE = {
    "epochs", "batch_size", "optimizer", "lr", "weight_decay", "schedule", "augment", "warmup",
    "gradient_clip",
}  # fmt: skip
FIRST_IMAGE = {"size", "channels", "crop", "max_scale", "fill", "resize"}
FIRST_INGREDIENTS = {
    "data", "image", "split", "fold", "plugins", "weights", "recipe", "precision", "seed",
}  # fmt: skip
FIRST_IDENTITY = {
    "data", "image", "split", "fold", "backbone", "head", "weights", "loaded", "initial", "unit", "precision",
    "recipe", "seed",
}  # fmt: skip
# Nor do neutral values change.
FROZEN_NEUTRAL = {
    "average": None, "unit": "range", "freeze": False, "batch_norm": "running",
    "ridge": "none", "frozen_features": "raw", "tune": None, "freeze_to": None,
}  # fmt: skip

RECIPE = Recipe(
    epochs=20, batch_size=32, optimizer="adamw", lr=2e-3, weight_decay=0.05, schedule="onecycle",
    augment="shift", warmup=0.2, gradient_clip=1.0, **FROZEN_NEUTRAL,
)  # fmt: skip
IMAGE = ImageFacts(
    size=(32, 200), channels=1, crop=(1, 2, 31, 190), max_scale=2.0, fill=(255, 255, 255), resize="letterbox"
)
PLAIN = Identity(
    data="d" * 64,
    image=IMAGE,
    split="s" * 64,
    fold=0,
    backbone=Provenance(name="net", distribution="nets", version="1.0"),
    head=Provenance(name="mlp", distribution="quadzoo", version="0.1.0", revision="r"),
    weights="none",
    loaded=None,
    initial=None,
    unit=None,
    precision="32",
    recipe=RECIPE,
    seed=0,
)
LOADED = LoadedWeights(sha256="a" * 64, source="hub", tag="in1k")


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: f"{path.parents[2].name}/{path.parent.name}")
def test_every_published_record_bears_its_key_and_lies_in_its_folder(path: Path) -> None:
    found = read_record_file(path)
    assert found.identity.key == found.key == path.parent.name


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_every_shipped_model_bears_its_key(path: Path) -> None:
    found = read_record_file(path)
    assert found.identity.key == found.key


def test_there_are_records_to_hold_keys_to() -> None:
    assert SHIPPED
    assert len(PUBLISHED) + len(SHIPPED) >= 121


def test_keys_stay_what_they_are() -> None:
    assert PLAIN.key == "93e6d8de8289a5b8"
    assert PLAIN.combination == "b2e2b41282f99105"


def test_a_new_field_has_a_neutral_value() -> None:
    assert {*Recipe.model_fields} == FIRST_RECIPE | {*NEUTRAL_RECIPE}
    assert {*ImageFacts.model_fields} == FIRST_IMAGE | {*NEUTRAL_IMAGE}
    assert not FIRST_RECIPE & {*NEUTRAL_RECIPE}
    assert not FIRST_IMAGE & {*NEUTRAL_IMAGE}
    for name, value in FROZEN_NEUTRAL.items():
        assert NEUTRAL_RECIPE[name] == value


def test_a_new_ingredient_is_left_out_where_it_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a plain run, the hash has the names that it has always had."""
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(keys, "hash_of", lambda ingredients: seen.append(ingredients) or "")
    assert replace(PLAIN).key == ""  # PLAIN knows its own already
    (hashed,) = seen
    assert {*hashed} == FIRST_INGREDIENTS
    assert {*hashed["recipe"]} == FIRST_RECIPE
    assert {*hashed["image"]} == FIRST_IMAGE
    assert {*hashed["plugins"]} == {"backbone", "head"}
    for code in hashed["plugins"].values():
        assert {*code} == {"name", "distribution", "version"}
    # A field of the identity that comes later has to be taught to this test, and so to the key.
    assert {field.name for field in fields(Identity)} == FIRST_IDENTITY


def test_neutral_values_are_those_that_old_records_are_read_with() -> None:
    """A record from before a field has its neutral value, whatever the default is today."""
    given = record("k", 0.1).model_dump(mode="json", by_alias=True)
    given["recipe"] = {name: value for name, value in given["recipe"].items() if name in FIRST_RECIPE}
    given["image"] = {name: value for name, value in given["image"].items() if name in FIRST_IMAGE}
    read = RunRecord.model_validate(given)
    assert {name: getattr(read.recipe, name) for name in NEUTRAL_RECIPE} == dict(NEUTRAL_RECIPE)
    assert {name: getattr(read.image, name) for name in NEUTRAL_IMAGE} == dict(NEUTRAL_IMAGE)
    given["recipe"] |= NEUTRAL_RECIPE
    given["image"] |= NEUTRAL_IMAGE
    assert RunRecord.model_validate(given).identity.key == read.identity.key


@pytest.mark.parametrize("name", NEUTRAL_RECIPE)
def test_a_field_counts_unless_it_is_neutral(name: str) -> None:
    others = {
        "average": 0.99, "unit": "standard", "freeze": True,
        "batch_norm": "reestimated", "ridge": "candidate", "frozen_features": "standardised", "tune": "lr:3",
        "freeze_to": "stem",
    }  # fmt: skip
    neutral = RECIPE.model_copy(update={name: NEUTRAL_RECIPE[name]})
    other = RECIPE.model_copy(update={name: others[name]})
    assert replace(PLAIN, recipe=neutral).key == PLAIN.key
    assert replace(PLAIN, recipe=other).key != PLAIN.key


def changed() -> Iterator[tuple[str, Identity]]:
    """The plain identity with one thing changed, and what that is."""
    yield "data", replace(PLAIN, data="e" * 64)
    yield "split", replace(PLAIN, split="t" * 64)
    yield "fold", replace(PLAIN, fold=1)
    yield "seed", replace(PLAIN, seed=1)
    yield "precision", replace(PLAIN, precision="bf16")
    yield "weights", replace(PLAIN, weights="pretrained")
    yield "loaded", replace(PLAIN, weights="pretrained", loaded=LOADED)
    yield "loaded sha256", replace(PLAIN, weights="pretrained", loaded=replace(LOADED, sha256="b" * 64))
    yield "loaded tag", replace(PLAIN, weights="pretrained", loaded=replace(LOADED, tag="in22k"))
    unit = {"low": [0.0], "high": [1.0], "integer": [False]}
    yield "initial", replace(PLAIN, initial="c" * 64, unit=unit)
    yield "other initial", replace(PLAIN, initial="d" * 64, unit=unit)
    yield "other unit", replace(PLAIN, initial="c" * 64, unit={**unit, "high": [2.0]})
    for kind in ("backbone", "head"):
        code: Provenance = getattr(PLAIN, kind)
        for name in ("name", "distribution", "revision"):
            yield f"{kind} {name}", replace(PLAIN, **{kind: code.model_copy(update={name: "other"})})
    yield "version", replace(PLAIN, backbone=PLAIN.backbone.model_copy(update={"version": "1.1"}))
    yield "source", replace(PLAIN, backbone=PLAIN.backbone.model_copy(update={"source": "f" * 64}))
    for name, value in {
        "size": (32, 208), "channels": 3, "crop": None, "max_scale": None, "fill": (0, 0, 0),
        "resize": "stretch", "dtype": "uint16", "value_range": (0.0, 4095.0), "bands": (4, 3, 2),
    }.items():  # fmt: skip
        yield f"image {name}", replace(PLAIN, image=IMAGE.model_copy(update={name: value}))
    for name, value in {
        "epochs": 21, "batch_size": 33, "optimizer": "adam", "lr": 1e-3, "weight_decay": 0.0,
        "schedule": "step", "augment": "none", "warmup": 0.1, "gradient_clip": None, "average": 0.99,
        "unit": "standard", "freeze": True, "batch_norm": "reestimated", "ridge": "candidate",
        "frozen_features": "standardised", "tune": "lr:3", "freeze_to": "stem",
    }.items():  # fmt: skip
        yield f"recipe {name}", replace(PLAIN, recipe=RECIPE.model_copy(update={name: value}))


def test_whatever_can_change_a_score_changes_the_key() -> None:
    variants = dict(changed())
    tried = {name.split()[-1] for name in variants}
    assert {*Recipe.model_fields, *ImageFacts.model_fields, *FIRST_IDENTITY} - {"image", "recipe"} <= {
        *tried, "backbone", "head",
    }  # fmt: skip
    found = {"plain": PLAIN.key, **{name: one.key for name, one in variants.items()}}
    assert len({*found.values()}) == len(found), found


def test_of_a_tuned_run_the_key_holds_the_request_and_not_what_was_found() -> None:
    tuned = {"epochs": 2, "tune": "lr:3"}
    one, other = (record("k", 0.1, recipe=tuned, found={"lr": lr}) for lr in (0.002, 0.008))
    assert one.identity.key == other.identity.key
    assert one.combination == other.combination
    more = record("k", 0.1, recipe={**tuned, "tune": "lr:5"}, found={"lr": 0.002})
    plain = record("k", 0.1, recipe={"epochs": 2})
    assert len({each.identity.key for each in (one, more, plain)}) == 3
    assert len({each.combination for each in (one, more, plain)}) == 3


def test_revision_wins_over_source_and_source_over_version() -> None:
    def key(**code: str) -> str:
        backbone = Provenance(name="net", distribution="nets", **code)
        return replace(PLAIN, backbone=backbone).key

    assert key(version="1", revision="r", source="s") == key(version="2", revision="r", source="t")
    assert key(version="1", source="s") == key(version="2", source="s")
    assert len({key(version="1"), key(version="1", source="s"), key(version="1", revision="r")}) == 3


def test_of_loaded_weights_tag_and_sha256_count_alone() -> None:
    loaded = replace(PLAIN, weights="pretrained", loaded=LOADED)
    elsewhere = replace(LOADED, source="a mirror", missing=("fc.bias",), unexpected=("head",))
    assert replace(loaded, loaded=elsewhere).key == loaded.key


def test_a_trained_model_is_known_by_its_weights_and_not_by_its_name() -> None:
    initial = replace(PLAIN, weights="run 0123", initial="c" * 64)
    assert replace(initial, weights="reader-equations").key == initial.key


def test_testing_alone_draws_nothing_and_has_no_recipe() -> None:
    tested = replace(PLAIN, initial="c" * 64, recipe=RECIPE.model_copy(update={"epochs": 0}))
    assert tested.key != PLAIN.key
    assert replace(tested, seed=7).key == tested.key
    other = RECIPE.model_copy(update={"epochs": 0, "lr": 1.0, "batch_size": 1, "unit": "standard"})
    assert replace(tested, recipe=other).key == tested.key
    for differs in ({"fold": 1}, {"precision": "bf16"}, {"data": "e"}, {"initial": "d" * 64}):
        assert replace(tested, **differs).key != tested.key  # type: ignore[arg-type]


def test_a_combination_spans_seeds_folds_and_precisions() -> None:
    for name, one in changed():
        same = name in ("seed", "fold", "precision")
        assert (one.combination == PLAIN.combination) == same, name


def test_where_and_when_it_ran_does_not_count() -> None:
    plain = record("k", 0.1)
    environment = plain.environment.model_copy(
        update={"device": "cuda", "device_name": "H100", "threads": 64, "compiled": "graphs", "torch": "9",
                "deterministic": True,
                "quadzoo": "9", "python": "4", "libraries": {"timm": "9"}, "plugins": {"quadzoo": "9"}}
    )  # fmt: skip
    other = plain.model_copy(
        update={"environment": environment, "weights_note": "n", "precision_note": "n",
                "flags": {"--data": "./elsewhere.csv"}, "key": "other", "status": "failed",
                "data": plain.data.model_copy(update={"name": "renamed"}),
                "split": plain.split.model_copy(update={"name": "renamed"})}
    )  # fmt: skip
    assert other.identity.key == plain.identity.key
    assert other.combination == plain.combination


def test_the_order_of_names_does_not_count() -> None:
    given = record("k", 0.1).model_dump(mode="json", by_alias=True)
    text = json.dumps(given, sort_keys=True)
    assert text != json.dumps(given)
    assert RunRecord.model_validate_json(text).identity.key == record("k", 0.1).identity.key
