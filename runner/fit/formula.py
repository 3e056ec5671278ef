"""
A training's peak by a formula, where its code cannot be simulated.

Weights, gradients and optimizer state are exact. The activations are those of a Llama
with scaled_dot_product_attention, fitted to simulations of an 8B one: other
architectures hold more or less.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainwatch.runner.fit.bill import CATEGORIES, Peak
from trainwatch.runner.fit.plan import Plan

LAYER = 50.4
"""Bytes that a token leaves in a layer for a backward, per hidden unit; 16 bits."""
CHECKPOINTED = 2.0
"""The same with gradient checkpointing: the layer's input."""
LOGITS = 12.0
"""Bytes of logits and their gradients per token and word of the vocabulary."""
MATH_SCORES = 4.0
"""Bytes per pair of tokens and head that the math path of attention saves."""
MATH_TOKEN = 7.0
"""What else that path leaves per token and hidden unit."""


@dataclass(frozen=True)
class Shape:
    """
    What the formula knows of a model; bytes but for the counts. `layers_with_backward`
    are those from the lowest one that is trained.
    """

    hidden: int
    heads: int
    vocabulary: int
    layers: int
    layers_with_backward: int
    weights: int
    trainable: int
    elements: int
    largest: int


def activations(plan: Plan, shape: Shape) -> int:
    """
    Bytes at the end of forward and the beginning of backward, less the weights.
    """
    tokens = plan.batch * plan.seq
    wide = 2.0 if plan.dtype == "fp32" else 1.0
    layer = LAYER * wide * shape.hidden * tokens
    if plan.attention == "math":
        layer += MATH_SCORES * shape.heads * plan.seq * tokens
        layer += MATH_TOKEN * wide * shape.hidden * tokens
    layers = shape.layers_with_backward * layer
    if plan.gradient_checkpointing:
        inputs = CHECKPOINTED * wide * shape.hidden * tokens
        layers = shape.layers_with_backward * inputs + layer
    return int(layers + LOGITS * shape.vocabulary * tokens)


def optimizer_bytes(plan: Plan, shape: Shape) -> tuple[int, int, int]:
    """
    Bytes of exp_avg (and as many of exp_avg_sq), of other state, and of what is
    needed for a while inside the step.
    """
    name = plan.optimizer
    if name.startswith("adamw"):
        inside = {"adamw-fused": 0, "adamw-foreach": shape.trainable}
        return shape.trainable, 0, inside.get(name, 3 * shape.largest)
    if name.startswith("adafactor"):
        return 0, shape.elements // 100, 4 * shape.largest
    if name == "sgd":
        return 0, 0, 0
    return 0, shape.trainable, 0 if name == "sgd-momentum" else 2 * shape.largest


def peaks(plan: Plan, shape: Shape) -> list[Peak]:
    """
    Backward and optimizer of two steps.
    """
    moments, other, inside = optimizer_bytes(plan, shape)
    held = activations(plan, shape)
    kept = shape.trainable if plan.accumulate > 1 else 0
    found = []
    for step in (1, 2):
        born = step == 2
        found.append(
            _peak(step, "backward", shape, kept, born * moments, born * other, held)
        )
        found.append(
            _peak(step, "optimizer", shape, shape.trainable, moments, other, inside)
        )
    return found


def _peak(
    step: int,
    phase: str,
    shape: Shape,
    gradients: int,
    moments: int,
    other: int,
    rest: int,
) -> Peak:
    frozen = shape.weights - shape.trainable
    parts = (shape.trainable, frozen, gradients, moments, moments, other, rest)
    bill = dict(zip(CATEGORIES, parts, strict=True))
    return Peak(step, phase, sum(parts), bill)
