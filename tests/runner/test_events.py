"""The schema: what is written is what is read, and nothing else is taken."""

from __future__ import annotations

import dataclasses
import json
import math
import random

import pytest

from trainwatch.probes import events as ev


@pytest.mark.parametrize("name", sorted(ev.TYPES))
def test_every_event_survives_the_line(name: str) -> None:
    event = ev.of(ev.TYPES[name](), time=12.5, mono=3.25, pid=7, rank=1, seq=9)
    assert ev.decode(ev.encode(event)) == event


def test_numbers_that_json_cannot_hold_survive() -> None:
    body = ev.MetricsLogged(3, None, {"loss": math.nan, "a": math.inf, "b": -math.inf})
    values = ev.decode(ev.encode(ev.of(body, time=1.0))).body.values  # type: ignore[union-attr]
    assert math.isnan(values["loss"])
    assert (values["a"], values["b"]) == (math.inf, -math.inf)


def test_a_later_schema_is_read_as_far_as_it_is_known() -> None:
    line = '{"v":9,"type":"tomorrow","time":1.0,"new":[1]}'
    assert ev.decode(line).body is None
    line = '{"v":9,"type":"step_ended","time":1.0,"step":4,"new":{"a":1}}'
    assert ev.decode(line).body == ev.StepEnded(step=4)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "garbage",
        "[]",
        "{}",
        '{"type":3,"time":1}',
        '{"type":"step_ended"}',
        '{"type":"step_ended","time":"now"}',
        '{"type":"step_ended","time":1,"step":"four"}',
        '{"type":"step_ended","time":1,"step":true}',
        '{"type":"step_ended","time":1,"phases":{"forward":1}}',
        '{"type":"step_ended","time":1,"phases":{"forward":["a"]}}',
        '{"type":"step_ended","time":1,"step":1e999}',
        '{"type":"step_ended","time":1,"step":99999999999999999999}',
        '{"type":"warning_raised","time":1,"text":{"a":1}}',
        "[" * 100_000,
        '{"a":' * 50_000,
        "\x00\xff",
    ],
)
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ev.MalformedEvent):
        ev.decode(line)


def test_random_bytes_never_do_anything_but_be_refused() -> None:
    source = random.Random(7)
    whole = ev.encode(ev.of(ev.StepEnded(step=3), time=1.0)).encode()
    for _ in range(3000):
        line = bytearray(whole)
        for _ in range(source.randint(1, 6)):
            line[source.randrange(len(line))] = source.randrange(256)
        try:
            ev.decode(bytes(line))
        except ev.MalformedEvent:
            continue


def test_a_line_that_is_too_long_is_refused() -> None:
    with pytest.raises(ev.MalformedEvent):
        ev.decode(b" " * (ev.MAX_LINE_BYTES + 1))


def test_every_field_has_a_default_so_that_schemas_can_grow() -> None:
    for cls in ev.TYPES.values():
        for field in dataclasses.fields(cls):
            assert (
                field.default is not dataclasses.MISSING
                or field.default_factory is not dataclasses.MISSING
            ), f"{cls.__name__}.{field.name}"


def test_no_field_hides_the_envelope() -> None:
    envelope = {"v", "seq", "time", "mono", "rank", "pid", "type"}
    for cls in ev.TYPES.values():
        assert not envelope & {field.name for field in dataclasses.fields(cls)}


def test_a_line_is_one_line() -> None:
    body = ev.WarningRaised(text="two\nlines\u2028and \x1b[31m")
    line = ev.encode(ev.of(body, time=1.0))
    assert line.isascii()
    assert line.splitlines() == [line]
    assert json.loads(line)["text"] == body.text
