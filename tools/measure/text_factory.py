"""Adapt the text extractor to the intents of the first lesson; `tools/text_table factory` runs this where edgecl is.

For every set and class order (tools/common/splits.py): `edgecl_export.adapt_text` on the training texts of the first
lesson's intents, with its defaults; then closed forms on the training texts of all intents, evaluated on the test
texts: of all intents, of those of the first lesson and of those that came later, and of later ones that were taught
by five texts each, every one once, a few at a time, to a model of all others. Then the loop of the command line, month
by month, with the gate. The same with the extractor as it is, and with both in float32 before rounding. Rates, steps
and all else were chosen on training texts of hwu64's first lesson alone (DECISIONS.md).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import edgecl_export.adapt
import numpy as np
from edgecl_export import adapt_text, export_text
from edgecl_export._minilm import Encoder, read_weights
from edgecl_export.text import Adapter, read_model, vocabulary

from common.splits import CLASS_ORDERS, TEXT_SETS, class_orders
from edgecl.extractors.text import open_tokenizer
from measure.cases import note
from measure.pupils import Pupil
from measure.text_table import Texts, measure_five_shot, measure_months, read, write_texts

SETS = ("hwu64", "clinc150")


def adapted(data: Texts, first: Sequence[str], cache: Path) -> Adapter:
    """Return the adapter of the first lesson's intents, from the cache where exporter and texts are the same."""
    with tempfile.TemporaryDirectory(dir=data.scratch) as folder:
        file = write_texts(data, data.rows("train", first), Path(folder, "first.jsonl"))
        sources = sorted(Path(edgecl_export.adapt.__file__).parent.glob("*.py"))
        key = hashlib.sha256(b"".join(one.read_bytes() for one in (*sources, file))).hexdigest()[:16]
        kept = cache / f"{data.about.name}-adapter-{key}.npz"
        if not kept.exists():
            made = adapt_text(file).finish()
            facts = {name: value for name, value in vars(made).items() if name != "changes"}
            np.savez(kept.with_suffix(".part.npz"), facts=json.dumps(facts), **made.changes)  # type: ignore[arg-type]
            kept.with_suffix(".part.npz").replace(kept)
    with np.load(kept) as arrays:
        facts = json.loads(str(arrays["facts"]))
        return Adapter(**facts, changes={name: arrays[name] for name in arrays.files if name != "facts"})


def in_float(data: Texts, adapter: Adapter | None) -> Texts:
    """Return the set with latents of the network that `adapter` changes in float32, which is not rounded to int8."""
    weights = read_weights(read_model())
    for name, change in (adapter.changes if adapter else {}).items():
        weights[f"{name}.weight"] = weights[f"{name}.weight"] + change
    encoder, encode = Encoder(weights, {}), open_tokenizer(vocabulary(), "the tokenizer").encode
    return replace(data, x=encoder.latents([encode(text.strip()).ids for text in data.texts]))


def closed_forms(data: Texts, order: Sequence[str]) -> dict[str, float]:
    """Return what closed forms of all training texts, and of five of each later intent, reach."""
    first, later = order[: data.about.first], order[data.about.first :]
    pupil = Pupil(data.settings())
    data.teach(pupil, data.rows("train", order), "closed-form")
    parts = {"all": order, "first": first, "later": later}
    return {name: data.accuracy(pupil, part) for name, part in parts.items()} | {
        "five": measure_five_shot(data, later, strategy="closed-form")["new"]
    }


def measure_order(data: Texts, order: Sequence[str], extractor: Path, cache: Path) -> dict[str, Any]:
    """Return all figures of one order."""
    first = order[: data.about.first]
    adapter = adapted(data, first, cache)
    export_text(extractor, adapter)
    rounded = read(data.about, extractor, cache=cache, scratch=data.scratch)
    figures = {
        "plain": closed_forms(data, order),
        "adapted": closed_forms(rounded, order),
        "adapted in float32": closed_forms(in_float(data, adapter), order),
    }
    loop = {name: measure_months(one, order, "auto") for name, one in (("plain", data), ("adapted", rounded))}
    note(
        f"{data.about.name}: {100 * figures['adapted']['all']:.1f} % adapted, {100 * figures['plain']['all']:.1f} % not"
    )
    facts = {name: getattr(adapter, name) for name in ("rank", "texts", "intents", "steps", "before", "after")}
    return {"closed form": figures, "loop": loop, "adapter": facts}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--orders", type=int, default=CLASS_ORDERS, help="of the intents")
    parser.add_argument("--cache", type=Path, required=True, help="folder for adapters and latents")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    started = time.perf_counter()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    sets: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="edgecl-factory-") as folder:
        plain = Path(folder, "text.onnx")
        export_text(plain)
        for name in chosen.sets:
            data = read(TEXT_SETS[name], plain, cache=chosen.cache, scratch=Path(folder))
            orders = class_orders(data.classes)[: chosen.orders]
            sets[name] = {
                "first": data.about.first,
                "classes": len(data.classes),
                "orders": [
                    measure_order(data, order, Path(folder, f"{name}-{index}.onnx"), chosen.cache)
                    for index, order in enumerate(orders)
                ],
            }
    whole = {"seconds": time.perf_counter() - started, "sets": sets}
    chosen.json.write_text(json.dumps(whole, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
