"""Devices as they are written, their limits, and what fits."""

from __future__ import annotations

import resource

import pytest

from trainwatch.runner.errors import UsageError
from trainwatch.runner.fit import card as cards
from trainwatch.runner.fit import devices, mac
from trainwatch.runner.fit.device import (
    DOES_NOT_FIT,
    FITS,
    GIB,
    SWAP,
    TIGHT,
    Device,
)
from trainwatch.runner.fit.devices import parse
from trainwatch.runner.fit.program import output

# Table 5.5 of the study: bf16 Llama-3 8B, batch 1, 1024 tokens; GiB -> verdict.
MACS = (16, 24, 36, 48, 64, 96, 128, 192)
ON_MACS = {
    16.8: "no tight yes yes yes yes yes yes",
    27.7: "no no tight yes yes yes yes yes",
    17.6: "no tight yes yes yes yes yes yes",
    23.2: "no swap yes yes yes yes yes yes",
    24.7: "no no yes yes yes yes yes yes",
    59.8: "no no no no swap yes yes yes",
    61.8: "no no no no swap yes yes yes",
}
ON_CARDS = {
    (16.8, 24): "yes",
    (22.8, 24): "tight",
    (22.8, 80): "yes",
    (23.2, 24): "no",
    (25.4, 24): "no",
    (59.8, 80): "yes",
    (59.8, 24): "no",
    (74.8, 80): "tight",
}
WORDS = {
    FITS: "yes",
    TIGHT: "tight",
    SWAP: "swap",
    DOES_NOT_FIT: "no",
}


@pytest.mark.parametrize("peak", ON_MACS)
def test_what_fits_which_mac(peak: float) -> None:
    told = [
        WORDS[parse(f"mps:{ram}GB", {}).verdict(int(peak * GIB)).word] for ram in MACS
    ]
    assert " ".join(told) == ON_MACS[peak]


@pytest.mark.parametrize(("peak", "size"), ON_CARDS)
def test_what_fits_which_card(peak: float, size: int) -> None:
    verdict = parse(f"cuda:{size}GB", {}).verdict(int(peak * GIB))
    assert WORDS[verdict.word] == ON_CARDS[peak, size]


def test_the_lines_of_a_36_gb_mac() -> None:
    mac = parse("mps:36GB", {})
    assert mac.attention == "math"
    assert not mac.measured
    assert [(line.name, round((line.bytes or 0) / GIB, 1)) for line in mac.lines] == [
        ("recommended working set", 28.1),
        ("torch gives free memory back", 39.3),
        ("torch refuses", 47.7),
        ("physical RAM", 36.0),
    ]
    assert "not measured" in mac.lines[0].source
    assert "above RAM" in mac.lines[2].source


def test_the_ratio_moves_torchs_line() -> None:
    low = {
        "PYTORCH_MPS_HIGH_WATERMARK_RATIO": "1.0",
        "PYTORCH_MPS_LOW_WATERMARK_RATIO": "0.9",
    }
    mac = parse("mps:36GB", low)
    assert mac.torch_limit == mac.usable
    assert mac.verdict(30 * GIB).word == DOES_NOT_FIT
    assert mac.verdict(30 * GIB).why == "torch refuses at its own limit"
    assert parse("mps:36GB", {}).verdict(30 * GIB).word == SWAP
    none = parse("mps:36GB", {"PYTORCH_MPS_HIGH_WATERMARK_RATIO": "0.0"})
    assert none.torch_limit is None
    assert none.verdict(30 * GIB).word == SWAP
    wrong = parse("mps:36GB", {"PYTORCH_MPS_HIGH_WATERMARK_RATIO": "1.0"})
    assert "does not start" in wrong.problem


def test_a_mac_that_is_not_in_the_table() -> None:
    assert parse("mps:18GB", {}).usable / GIB == pytest.approx(13.3, abs=0.05)
    assert parse("mps:512GB", {}).usable / GIB == pytest.approx(430, abs=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tpu",
        "mps:",
        "mps:36",
        "cuda:-24GB",
        "cpu:0GB",
        "mps:1e9GB",
        "cuda:0",
        "a" * 99,
    ],
)
def test_what_is_no_device(text: str) -> None:
    with pytest.raises(UsageError, match="mps:36GB") as caught:
        parse(text, {})
    assert len(str(caught.value)) < 160


def test_units_and_cases() -> None:
    for text in ("cuda:24GB", "CUDA:24gib", "cuda:24g", "cuda:24576MB"):
        assert parse(text, {}).usable == int(23.6 * GIB)


def test_a_card_of_this_machine() -> None:
    def smi(*command: str) -> str:
        assert command[0] == "nvidia-smi"
        return "24564, 1200\n81559, 3\n"

    found = cards.nvidia_card(smi)
    assert found == (24564 << 20, 1200 << 20)
    card = cards.card(*found)
    assert card.measured
    assert card.usable == (24564 - 1200) << 20
    assert cards.nvidia_card(lambda *_: "No devices were found\n") is None
    assert mac.wired_limit(lambda *_: "114688\n") == 114688 << 20
    assert mac.wired_limit(lambda *_: "0\n") is None


def test_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "output", lambda *_: "")
    with pytest.raises(UsageError, match="no NVIDIA card"):
        parse("cuda", {})
    monkeypatch.setattr(devices.sys, "platform", "linux")
    with pytest.raises(UsageError, match="no Mac"):
        parse("mps", {})
    assert parse("auto", {}).kind == "cpu"


def test_the_host_is_its_smallest_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "memory_limit", lambda pid: 3 * GIB)
    monkeypatch.setattr(
        devices.resource, "getrlimit", lambda what: (2 * GIB, resource.RLIM_INFINITY)
    )
    machine = parse("cpu", {})
    assert machine.usable == 2 * GIB
    assert machine.measured
    assert [line.name for line in machine.lines] == [
        "RAM",
        "cgroup limit",
        "address space",
    ]
    assert machine.attention == "flash"
    other = parse("cpu:16GB", {})
    assert (other.usable, other.measured) == (16 * GIB, False)


def words(device: Device, *peaks: float) -> list[str]:
    return [WORDS[device.verdict(int(peak * GIB)).word] for peak in peaks]


def test_a_host_has_no_swap_verdict() -> None:
    assert words(parse("cpu:16GB", {}), 14, 15.4, 15.6, 20) == [
        "yes",
        "tight",
        "no",
        "no",
    ]


def test_what_a_program_says() -> None:
    assert output("sh", "-c", "echo 24564, 1200") == "24564, 1200\n"
    assert output("sh", "-c", "echo no; exit 1") == ""
    assert output("there-is-no-such-program") == ""
