"""Step every optimizer once, and print what was forecast and what was allocated."""

import json

import torch
from _trainwatch_probes import jump
from torch.profiler import ProfilerActivity, profile
from transformers.optimization import Adafactor

SHAPES = [(65_536,), (2000, 128), (128,), (300, 700), (2, 100, 175), (3000, 512)]
T = torch.optim
OPTIMIZERS = {
    "AdamW": lambda p: T.AdamW(p),
    "AdamW foreach": lambda p: T.AdamW(p, foreach=True),
    "AdamW fused": lambda p: T.AdamW(p, fused=True),
    "AdamW amsgrad": lambda p: T.AdamW(p, amsgrad=True),
    "AdamW of two groups": lambda p: T.AdamW([{"params": p[:2]}, {"params": p[2:]}]),
    "Adam with decay": lambda p: T.Adam(p, weight_decay=0.1),
    "SGD": lambda p: T.SGD(p, lr=0.1),
    "SGD momentum": lambda p: T.SGD(p, lr=0.1, momentum=0.9),
    "SGD nesterov": lambda p: T.SGD(
        p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1
    ),
    "SGD foreach": lambda p: T.SGD(
        p, lr=0.1, momentum=0.9, weight_decay=0.1, foreach=True
    ),
    "RMSprop": lambda p: T.RMSprop(p, centered=True, momentum=0.9),
    "RMSprop foreach": lambda p: T.RMSprop(p, foreach=True),
    "Adagrad": lambda p: T.Adagrad(p, weight_decay=0.1),
    "Adagrad foreach": lambda p: T.Adagrad(p, foreach=True),
    "Adagrad fused": lambda p: T.Adagrad(p, fused=True),
    "Adafactor": lambda p: T.Adafactor(p),
    "Adafactor foreach": lambda p: T.Adafactor(p, foreach=True),
    "Adafactor of transformers": lambda p: Adafactor(p, lr=None),
    "the same with beta1": lambda p: Adafactor(p, lr=None, beta1=0.9),
}


def row(name, dtype):
    torch.manual_seed(0)
    parameters = [
        torch.nn.Parameter(0.02 * torch.randn(*s, dtype=dtype)) for s in SHAPES
    ]
    optimizer = OPTIMIZERS[name](parameters)
    before = jump.jump(optimizer, all_train=True)
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    expected = jump.jump(optimizer)
    assert before == expected, name
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as traced:
        optimizer.step()
    events = [
        e for e in traced.profiler.kineto_results.events() if e.name() == "[memory]"
    ]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return {
        "optimizer": name,
        "dtype": str(dtype),
        "state": expected.state,
        "kept": held,
        "needs": expected.needs,
        "most": most,
    }


print(
    json.dumps(
        [
            row(name, dtype)
            for name in OPTIMIZERS
            for dtype in (torch.float32, torch.bfloat16)
        ]
    )
)
