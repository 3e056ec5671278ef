"""
Loading reports: which keys a checkpoint lacked, or held in vain.

Two forms are read: transformers 4's sentence with a list ("Some weights of X were
not initialized …: ['score.weight']") and transformers 5's table ("X LOAD REPORT
from: …", then `key | STATUS |`, in which layers are folded to `layers.{0...7}`).
Source: transformers/modeling_utils.py 4.57, transformers/utils/loading_report.py 5.23.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SHOWN = 3
"""Keys that are named as evidence."""

_CLASS = re.compile(
    r"(?:^|\s)(?:weights of |initializing |\[?)(?:the model )?"
    r"([A-Z]\w{2,80}?)(?: LOAD REPORT| were not initialized|:)"
)
_NEW = re.compile(r"newly initialized(?: because the shapes did not match)?:\s{0,3}\[")
_UNUSED = re.compile(r"were not used when initializing \w{1,80}:\s{0,3}\[")
_QUOTED = re.compile(r"'([\w.{}*\-]{1,300})'|\"([\w.{}*\-]{1,300})\"")
_SHAPED = re.compile(r"- ([\w.]{1,300}): found shape ")
_ROW = re.compile(
    r"^\s{0,4}([\w.{},* \-]{1,300}?)\s{0,300}\|\s{0,4}"
    r"(MISSING|UNEXPECTED|MISMATCH)\b",
    re.MULTILINE,
)

_BUFFER = re.compile(
    r"(?:position_ids|inv_freq|masked_bias|attn\.bias|num_batches_tracked|_extra_state)$"
)
_ADAPTER = re.compile(r"lora_|\.base_layer\.|modules_to_save|ia3_|prompt_encoder")
_SPARE = re.compile(r"(?:^|\.)mtp[._]")
_TOWER = re.compile(
    r"^(?:model\.)?(?:visual|vision_tower|vision_model|audio_tower|"
    r"multi_modal_projector|mm_projector)\."
)
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?|layer_module)\.(?:\d|\{|\*)")
_EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|wte|wpe|word_embeddings|position_embeddings|shared|"
    r"embed_in|tok_embeddings)\."
)
_WRITER = re.compile(r"(?:^|\.)(?:lm_head|embed_out|output_projection)\b")
_HEAD = re.compile(
    r"(?:^|\.)(?:classifier|classification_head|score|qa_outputs|v_head|value_head|"
    r"summary|pooler|pre_classifier|reward_head|regression\w{0,20}|logits_proj|cls|"
    r"projector|head|heads|lm_head|embed_out|predictions|qa_classifier|"
    r"sequence_summary|dense|out_proj)\b"
)
_WRITES = re.compile(r"For(?:CausalLM|ConditionalGeneration|Seq2SeqLM)|LMHeadModel")


@dataclass(frozen=True)
class LoadingReport:
    """Keys by what became of them; `whole` when no list was cut off."""

    model: str = ""
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    whole: bool = True


def report_in(text: str) -> LoadingReport | None:
    """The report in `text`, or None where there is none that names keys."""
    named = _CLASS.search(text)
    model = named[1] if named else ""
    rows = _ROW.findall(text)
    if rows:
        by = {
            status: tuple(key.strip() for key, other in rows if other == status)
            for status in ("MISSING", "UNEXPECTED", "MISMATCH")
        }
        return LoadingReport(
            model, by["MISSING"], by["UNEXPECTED"], by["MISMATCH"], _ends(text)
        )
    shaped = tuple(_SHAPED.findall(text))
    if shaped:
        return LoadingReport(model, mismatched=shaped)
    for start, field in ((_NEW, "missing"), (_UNUSED, "unexpected")):
        opened = start.search(text)
        if opened is None:
            continue
        listed, closed, _ = text[opened.end() :].partition("]")
        keys = tuple(one or other for one, other in _QUOTED.findall(listed))
        if keys:
            return LoadingReport(model, **{field: keys}, whole=bool(closed))
    return None


def _ends(text: str) -> bool:
    """A table is whole when its notes follow, or it was not cut for its length."""
    return "Notes:" in text or len(text) < 1500


@dataclass(frozen=True)
class Loaded:
    """What a report comes to."""

    severity: str
    shown: str


def judge(report: LoadingReport) -> Loaded | None:
    """
    The worst that the keys of `report` say.

    Inner layers, embeddings and adapters that are missing are serious, a new head is
    expected before training, buffers and another task's head are nothing. None: the
    keys do not tell.
    """
    found: list[tuple[int, str, str]] = []
    for keys, sort in (
        (report.missing, _missing),
        (report.mismatched, _mismatched),
        (report.unexpected, _unexpected),
    ):
        groups: dict[tuple[str, str], list[str]] = {}
        for key in keys:
            groups.setdefault(sort(key, report.model), []).append(key)
        for (severity, what), members in groups.items():
            found.append((_RANK[severity], severity, f"{what}: {_some(members)}"))
    if not found:
        return None
    found.sort(key=lambda entry: entry[0])
    worst = found[0][1]
    if worst == "unknown" or (not report.whole and worst != "serious"):
        return None
    shown = "; ".join(text for _, severity, text in found[:SHOWN])
    return Loaded(worst, shown)


_RANK = {"serious": 0, "unknown": 1, "attention": 2, "harmless": 3}


def _missing(key: str, model: str) -> tuple[str, str]:
    if _BUFFER.search(key):
        return "harmless", "a buffer that is computed anyway"
    if _ADAPTER.search(key):
        return "serious", "parts of an adapter were not in the file"
    if _LAYER.search(key):
        return "serious", "layers of the model start from random numbers"
    if _EMBEDDING.search(key):
        return "serious", "embeddings start from random numbers"
    if _WRITER.search(key) and (not model or _WRITES.search(model)):
        return "serious", "the head that writes words starts from random numbers"
    if _HEAD.search(key):
        return "attention", "a new head, expected before training for a new task"
    return "unknown", "missing"


def _mismatched(key: str, model: str) -> tuple[str, str]:
    severity, what = _missing(key, model)
    if severity == "attention":
        return severity, "a head of another size, begun anew"
    return severity, f"another shape, so {what}" if severity == "serious" else what


def _unexpected(key: str, model: str) -> tuple[str, str]:
    if _BUFFER.search(key) or _SPARE.search(key):
        return "harmless", "not needed"
    if _ADAPTER.search(key):
        return "serious", "parts of an adapter found no place"
    if _TOWER.search(key):
        return "attention", "a tower that this class does not have"
    if _LAYER.search(key):
        return "serious", "layers of the checkpoint found no place"
    if _EMBEDDING.search(key):
        return "serious", "embeddings of the checkpoint found no place"
    if _HEAD.search(key):
        return "harmless", "another task's head, not used"
    return "unknown", "not used"


def _some(keys: Iterable[str]) -> str:
    names = list(keys)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
