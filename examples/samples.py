"""Let a model speak between training steps, to see what it has learned."""

from __future__ import annotations

import torch
from transformers import TrainerCallback


def sample(model, tokenizer, question: str, max_new_tokens: int = 32) -> str:
    """The model's greedy answer to `question`."""
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}],
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    ).to(model.device)
    training = model.training
    model.eval()
    with torch.no_grad():
        output = model.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            temperature=0.7,
            top_p=0.9,
            pad_token_id=tokenizer.pad_token_id,
        )
    model.train(training)
    answer = output[0, inputs["input_ids"].shape[1] :]
    return tokenizer.decode(answer, skip_special_tokens=True)


class Samples(TrainerCallback):
    """Print an answer to each question every `every` steps and at the end."""

    def __init__(self, tokenizer, questions: list[str], every: int):
        self.tokenizer = tokenizer
        self.questions = questions
        self.every = every

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if state.global_step % self.every == 0:
            self.speak(model, state.global_step)

    def on_train_end(self, args, state, control, model=None, **kwargs):
        if state.global_step % self.every:
            self.speak(model, state.global_step)

    def speak(self, model, step: int) -> None:
        for question in self.questions:
            answer = sample(model, self.tokenizer, question)
            print(f"\nstep {step}: {question}\n  {answer!r}", flush=True)
