"""
The model and the trainer of a plan, as a user's script would make them.

Needs torch and transformers, and is imported only in the simulation. Under fake
tensors a model has its shapes and no bytes; a benchmark builds the same for real.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from trainwatch.runner.errors import RefusedError
from trainwatch.runner.fit.plan import ALL_LINEAR, TARGETS, Plan

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def config_of(plan: Plan) -> Any:
    """
    Raises:
        RefusedError: this transformers does not know the architecture, or not these
            values.
    """
    values = dict(plan.config)
    kind = values.pop("model_type", None)
    if kind not in CONFIG_MAPPING:
        own = (
            " (it needs its own code, which is not run)" if "auto_map" in values else ""
        )
        raise RefusedError(
            f"unknown architecture: this transformers has no model_type {kind!r}{own}"
        )
    for name in ("quantization_config", "dtype", "torch_dtype", "auto_map"):
        values.pop(name, None)
    try:
        config = CONFIG_MAPPING[kind].from_dict(values)
    except Exception as error:
        raise RefusedError(
            f"the config is not one of {kind}: {_line(error)}"
        ) from error
    config.use_cache = False
    return config


def base_model(plan: Plan) -> Any:
    """
    The pretrained model's shapes in the plan's type, weights as they come.

    Raises:
        RefusedError: there is no causal language model of these values.
    """
    config = config_of(plan)
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[plan.dtype])
    try:
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise RefusedError(f"the model cannot be built: {_line(error)}") from error
    finally:
        torch.set_default_dtype(before)
    if not layers_of(model):
        raise RefusedError("the model has no layers")
    return model


def layers_of(model: Any) -> list[Any]:
    """
    The decoder's layers: the list of modules that holds the most parameters.
    """
    lists = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList)]
    return list(
        max(lists, key=lambda m: sum(p.numel() for p in m.parameters()), default=[])
    )


def trained_model(plan: Plan) -> Any:
    """
    The model of which only what the plan trains requires gradients.

    Raises:
        RefusedError: it cannot be trained this way.
    """
    model = base_model(plan)
    if plan.trainer == "trl":
        _chunk_the_head(model)
    if plan.gradient_checkpointing:
        _checkpoint_gradients(model, inputs_too=plan.method == "lora")
    if plan.method == "lora":
        model = _with_adapters(plan, model)
    elif plan.method == "partial":
        _open(plan, model)
    model.train()
    return model


def _open(plan: Plan, model: Any) -> None:
    layers = layers_of(model)
    if plan.layers > len(layers):
        raise RefusedError(
            f"{plan.layers} layers are to be trained, the model has {len(layers)}"
        )
    model.requires_grad_(False)
    for layer in layers[len(layers) - plan.layers :]:
        layer.requires_grad_(True)
    if plan.lm_head:
        head = model.get_output_embeddings()
        if head is None:
            raise RefusedError("the model has no lm_head")
        head.requires_grad_(True)


def _with_adapters(plan: Plan, model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    wanted: Any = list(plan.targets)
    if plan.targets == (ALL_LINEAR,):
        wanted = ALL_LINEAR
    elif plan.targets == TARGETS:
        here = {name.rpartition(".")[2] for name, _ in model.named_modules()}
        # Of an architecture with other names, PEFT knows the usual targets.
        wanted = [name for name in TARGETS if name in here] or None
    try:
        return get_peft_model(
            model,
            LoraConfig(
                r=plan.rank,
                lora_alpha=2 * plan.rank,
                lora_dropout=0.0,
                target_modules=wanted,
                task_type="CAUSAL_LM",
            ),
        )
    except ValueError as error:
        raise RefusedError(f"LoRA: {_line(error)}") from error


def adapted(model: Any) -> list[str]:
    """
    The names of the modules that have an adapter; none where there is no LoRA.
    """
    return sorted(
        {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if hasattr(module, "lora_A") and hasattr(module, "base_layer")
        }
    )


def _checkpoint_gradients(model: Any, inputs_too: bool) -> None:
    how = {"use_reentrant": False}
    try:
        if hasattr(model, "activation_checkpointing_enable"):
            model.activation_checkpointing_enable(activation_checkpointing_kwargs=how)
        else:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)
    except ValueError as error:
        raise RefusedError(f"gradient checkpointing: {_line(error)}") from error
    if inputs_too:
        model.enable_input_require_grads()


def _chunk_the_head(model: Any) -> None:
    """
    The loss of TRL's SFTTrainer, which never holds the logits of all tokens.
    """
    try:
        from trl.trainer.utils import add_fused_lm_head
    except ImportError:
        raise RefusedError("this TRL has no chunked head: trainer trl") from None
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))


def optimizer_of(plan: Plan) -> tuple[Any, dict[str, Any]]:
    """
    The class and its arguments, as `Trainer.create_optimizer` takes them.
    """
    from transformers.optimization import Adafactor

    adam = torch.optim.AdamW
    known: dict[str, tuple[Any, dict[str, Any]]] = {
        "adamw": (adam, {}),
        "adamw-fused": (adam, {"fused": True}),
        "adamw-foreach": (adam, {"foreach": True}),
        "adamw-for-loop": (adam, {"foreach": False, "fused": False}),
        "sgd": (torch.optim.SGD, {}),
        "sgd-momentum": (torch.optim.SGD, {"momentum": 0.9}),
        "adafactor": (Adafactor, {"scale_parameter": False, "relative_step": False}),
        "adafactor-torch": (getattr(torch.optim, "Adafactor", None), {}),
        "rmsprop": (torch.optim.RMSprop, {}),
        "adagrad": (torch.optim.Adagrad, {}),
    }
    cls, more = known[plan.optimizer]
    if cls is None:
        raise RefusedError(f"this torch has no optimizer {plan.optimizer}")
    return cls, {"lr": 1e-4, **more}


def trainer_of(
    plan: Plan, model: Any, folder: str, rows: Any = ({"x": 0},), **more: Any
) -> Any:
    """
    The Trainer of transformers with the plan's optimizer.

    Args:
        folder: where it may write, if it must.
        rows: the data set, where it is to train.
        more: other arguments of `TrainingArguments`.
    """
    chosen = optimizer_of(plan)

    class PlannedTrainer(Trainer):  # type: ignore[misc]
        @staticmethod
        def get_optimizer_cls_and_kwargs(args: Any, model: Any = None) -> Any:
            return chosen[0], dict(chosen[1])

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **more: Any) -> Any:
            if plan.trainer == "trl":
                inputs = {**inputs, "fused_lm_head": True}
            return super().compute_loss(model, inputs, *args, **more)

    arguments = TrainingArguments(
        output_dir=folder,
        use_cpu=True,
        report_to=[],
        per_device_train_batch_size=plan.batch,
        gradient_accumulation_steps=plan.accumulate,
        max_grad_norm=1.0,
        dataloader_pin_memory=False,
        **more,
    )
    return PlannedTrainer(model=model, args=arguments, train_dataset=rows)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
