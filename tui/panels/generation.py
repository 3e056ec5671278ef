"""Is generation alive: the first token, the rate, the end."""

from __future__ import annotations

from textual.content import Content

from trainwatch.runner.state import Generation, Process
from trainwatch.runner.text import duration
from trainwatch.runner.view import RunView
from trainwatch.tui.faces import Face, face_of
from trainwatch.tui.format import ABSENT, rate, spread
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import CALM, MUTED, STRONG, WARN
from trainwatch.tui.widgets.bar import bar


class GenerationPanel(Panel):
    """The newest generation: time to first token, tokens so far, when it ends."""

    TITLE = "First token"
    PROMISE = (
        "Nothing generated yet. With the first generate(): time to the first token, "
        "tokens so far, and when it will end."
    )
    MISSED = "This run generated nothing."
    AGES = True

    def has_data(self, view: RunView) -> bool:
        return view.state.lead is not None and bool(view.state.lead.generations)

    def facts(self, view: RunView) -> object:
        lead = view.state.lead
        return lead and (lead.generations, lead.generation_count)

    def face(self, view: RunView) -> Face:
        lead = view.state.lead
        runs = bool(lead and lead.generations and not lead.generations[-1].done)
        return face_of(view, self.has_data(view), runs)

    def title(self, view: RunView) -> Content:
        title = super().title(view)
        lead = view.state.lead
        if lead is None or not lead.generations:
            return title
        last = lead.generations[-1]
        note = f" · generation {lead.generation_count:,}"
        if last.step is not None:
            note += f", step {last.step:,}"
        if last.done:
            note += ", failed" if last.failed else ", done"
        return title + Content.styled(note, MUTED)

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        lead = view.state.lead
        if lead is None or not lead.generations:
            return []
        until = view.now if not view.state.over else (view.state.run.ended or view.now)
        last = lead.generations[-1]
        lines = [
            first_token(last, lead, until, width),
            tokens_line(last, lead, width),
            end_line(last, lead, width),
        ]
        before = lead.generations[-2::-1]
        if height > 4 and before:
            lines.append(Content.styled("before", MUTED))
            lines += [brief(generation, width) for generation in before[: height - 4]]
        return lines


def first_token(last: Generation, lead: Process, until: float, width: int) -> Content:
    """The prompt and how long its first token took, or takes so far."""
    prompt = "prompt of unknown length"
    if last.prompt_tokens is not None:
        prompt = f"{last.prompt_tokens:,} prompt tokens"
        if last.batch is not None and last.batch > 1:
            prompt += f" x {last.batch}"
    if last.ttft_s is not None:
        text = Content.assemble("first token ", (duration(last.ttft_s), STRONG))
    elif last.done:
        text = Content.styled("no token came", MUTED)
    else:
        waited = max(0.0, until - last.began)
        text = Content.assemble("no token yet, ", (duration(waited), STRONG))
        before = [g.ttft_s for g in lead.generations[:-1] if g.ttft_s is not None]
        if before:
            text = Content.assemble(
                text, (f", last time {duration(before[-1])}", MUTED)
            )
    return spread(Content(prompt), text, width)


def speed(last: Generation, lead: Process) -> float | None:
    """Tokens a second after the first one."""
    if last.done or last.tokens_per_s is not None:
        return last.tokens_per_s
    if last.ttft_s is None or last.tokens < 2:
        return None
    seconds = lead.phase.seen - last.began - last.ttft_s
    return (last.tokens - 1) / seconds if seconds > 0 else None


def tokens_line(last: Generation, lead: Process, width: int) -> Content:
    """Tokens so far against the cap, and the rate."""
    cap = last.max_new_tokens
    head = (
        f"{last.tokens:,} of at most {cap:,} tokens"
        if cap
        else f"{last.tokens:,} tokens"
    )
    per_s = speed(last, lead)
    tail = "" if per_s is None else f"{rate(per_s)} tokens/s"
    room = width - len(head) - len(tail) - 4
    if not cap or room < 6:
        return spread(Content(head), Content(tail), width)
    line = bar(last.tokens, cap, room, WARN if last.hit_cap else CALM)
    return Content("  ").join([Content(head), line, Content(tail)])


def end_line(last: Generation, lead: Process, width: int) -> Content:
    """Second token, and when it will end or how it ended."""
    second = ""
    if last.second_token_s is not None:
        second = f"second token {duration(last.second_token_s)} later"
    if last.done:
        how = (
            "failed"
            if last.failed
            else "hit the cap"
            if last.hit_cap
            else "ended by itself"
        )
        end = f"{how} after {duration(last.seconds)}"
    else:
        per_s = speed(last, lead)
        end = "end not known yet"
        if per_s and last.max_new_tokens:
            left = max(0, last.max_new_tokens - last.tokens) / per_s
            end = f"ends in at most {duration(round(left))}"
    return spread(Content.styled(second, MUTED), Content(end), width)


def brief(generation: Generation, width: int) -> Content:
    """An earlier generation in one line."""
    where = f"step {generation.step:,}" if generation.step is not None else "no step"
    first = duration(generation.ttft_s) if generation.ttft_s is not None else ABSENT
    return spread(
        Content.styled(where, MUTED),
        Content(
            f"first token {first} · {generation.tokens:,} tokens"
            f" · {rate(generation.tokens_per_s)} tokens/s"
        ),
        width,
    )
