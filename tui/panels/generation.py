"""Is generation alive: the first token, the rate, the end."""

from __future__ import annotations

from textual.content import Content

from trainwatch.runner.generation import left_s, slowing, speed
from trainwatch.runner.state import Generated, Generation, Process
from trainwatch.runner.text import duration
from trainwatch.runner.view import RunView
from trainwatch.tui.faces import Face, face_of
from trainwatch.tui.format import ABSENT, rate, roughly, spread
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
    PROBED = True
    AGES = True

    def has_data(self, view: RunView) -> bool:
        return view.state.lead is not None and bool(view.state.lead.generations)

    def facts(self, view: RunView) -> object:
        lead = view.state.lead
        return lead and (lead.generations, lead.generation_count, lead.generated)

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
        if lead.generated.capped > 1 and lead.generated.at_cap:
            note += f", {lead.generated.at_cap:,} at the cap"
        return title + Content.styled(note, MUTED)

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        lead = view.state.lead
        if lead is None or not lead.generations:
            return []
        until = view.now if not view.state.over else (view.state.run.ended or view.now)
        last = lead.generations[-1]
        lines = [
            first_token(last, lead, until, width),
            tokens_line(last, width),
            end_line(last, view.state.over, width),
        ]
        before = lead.generations[-2::-1]
        if height > 4 and before:
            lines.append(spread(muted("before"), muted(caps(lead.generated)), width))
            lines += [brief(generation, width) for generation in before[: height - 4]]
        return lines


def muted(text: str) -> Content:
    return Content.styled(text, MUTED)


def first_token(last: Generation, lead: Process, until: float, width: int) -> Content:
    """The prompt and how long its first token took, or takes so far."""
    prompt = "prompt of unknown length"
    if last.prompt_tokens is not None:
        prompt = f"{last.prompt_tokens:,} prompt tokens"
        if last.batch is not None and last.batch > 1:
            prompt += f" x {last.batch}"
    left = Content(prompt)
    if last.use_cache is False:
        left = Content.assemble(left, (", no cache", WARN))
    if last.ttft_s is not None:
        text = Content.assemble("first token ", (duration(last.ttft_s), STRONG))
    elif last.done:
        text = muted("no token came")
    else:
        waited = max(0.0, until - last.began)
        text = Content.assemble("no token yet, ", (duration(waited), STRONG))
        before = [g.ttft_s for g in lead.generations[:-1] if g.ttft_s is not None]
        if before:
            text = Content.assemble(
                text, (f", last time {duration(before[-1])}", MUTED)
            )
    return spread(left, text, width)


def tokens_line(last: Generation, width: int) -> Content:
    """Tokens so far against the cap, and the rate."""
    cap = last.max_new_tokens
    row = " a row" if max(last.batch or 1, last.rows or 1) > 1 else ""
    head = f"{last.tokens:,} of at most {cap:,} tokens" if cap else count(last.tokens)
    head += row
    per_s = speed(last)
    tail = "" if per_s is None else f"{rate(per_s)} tokens/s"
    room = width - len(head) - len(tail) - 4
    if not cap or room < 6:
        return spread(Content(head), Content(tail), width)
    line = bar(last.tokens, cap, room, WARN if last.hit_cap else CALM)
    return Content("  ").join([Content(head), line, Content(tail)])


def count(tokens: int) -> str:
    return "1 token" if tokens == 1 else f"{tokens:,} tokens"


def end_line(last: Generation, over: bool, width: int) -> Content:
    """The time of later tokens, and when it will end or how it ended."""
    return spread(gaps(last), Content(end(last, over)), width)


def gaps(last: Generation) -> Content:
    """When the second token came, then the time of each; how much it slows."""
    slow = slowing(last)
    if slow is not None:
        return Content.styled(f"slowing: {pause(slow[0])}, then {pause(slow[1])}", WARN)
    if last.second_token_s is None:
        return Content("")
    text = f"second {pause(last.second_token_s)}"
    if last.inter_token_s is not None and last.tokens > 2:
        text += f", median {pause(last.inter_token_s)}"
    return muted(text)


def pause(seconds: float) -> str:
    """The time from token to token: 0.1213 -> "121 ms", 2.3 -> "2.3 s"."""
    return f"{1000 * seconds:.3g} ms" if seconds < 0.9995 else duration(seconds)


def end(last: Generation, over: bool) -> str:
    """How it ended, or how long it takes until the cap."""
    if last.done:
        how = (
            "failed"
            if last.failed
            else "hit the cap"
            if last.hit_cap
            else "ended by itself"
        )
        return f"{how} after {duration(last.seconds)}"
    if over:
        return "did not end"
    left = left_s(last)
    if left is None:
        return "end not known yet"
    if slowing(last):
        return f"to the cap {roughly(left)} or more"
    return f"at most about {roughly(left)} left"


def caps(all_: Generated) -> str:
    """How many calls and rows ended at the cap."""
    if not all_.capped:
        return ""
    text = f"at the cap {all_.at_cap:,} of {all_.capped:,} calls"
    if all_.rows > all_.capped:
        text += f", {all_.rows_at_cap:,} of {all_.rows:,} rows"
    return text


def brief(generation: Generation, width: int) -> Content:
    """An earlier generation in one line."""
    where = f"step {generation.step:,}" if generation.step is not None else "no step"
    first = duration(generation.ttft_s) if generation.ttft_s is not None else ABSENT
    return spread(
        muted(where),
        Content(
            f"first token {first} · {count(generation.tokens)}"
            f" · {rate(generation.tokens_per_s)} tokens/s"
        ),
        width,
    )
