"""Pre-training of a text encoder on the shop's own item texts, before any event is looked at.

A general encoder knows what words mean in general; "jumbo bag pink polkadot" it has seldom read. So
it reads the item texts once more, hides words from itself and tells them (`language_losses`), and
what comes out is a folder that `recency.TextEncoder` reads like any other.

A run is kept in ``<out>.partial`` after each epoch and goes on from there; ``out`` appears whole,
when the run is done, and a call with the same arguments then has nothing more to do. All randomness
follows from the seed and the epoch, so a run that was stopped ends as one that was not.

What reads words out of the encoder begins as it was drawn, and teaches it nothing but noise at
first, by which it would lose what it knew. So the readers learn alone for some passes, while the
encoder stays (Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution, ICLR 2022, section 4).

With ``lora`` the encoder's matrices stay as they are and each learns the product of two thin ones
beside it (Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022, equation 3),
which is added to it in the end: less memory, and less of what the encoder knew is lost.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.content.item_texts import ItemTexts, cleaned, item_texts
from recency.content.language_losses import LanguageModel, Rows
from recency.content.pretraining_config import (
    Pretrained,
    PretrainingRecord,
    PretrainingStep,
    Progress,
    TextPretraining,
)
from recency.content.pretraining_folder import PretrainingFolder
from recency.content.sentence_model import BUNDLED, SentenceModel
from recency.content.text_network import adapted, load_network, merged
from recency.data.catalogue import Catalogue
from recency.errors import ConfigError, DataError, TrainingDivergedError
from recency.nn.products import quick_products

_FEWEST = 10  # texts
_CLIP = 1.0
_WARMUP = 0.1  # share of the steps in which the encoder learns
_READERS_RATE = 1e-3  # learning rate of readers alone
_ALL_LEARN = 3  # passes of readers alone: without a way back, which takes twice the way there


def pretrain_text(
    items: Catalogue | ItemTexts | Sequence[str],
    out: str | Path,
    *,
    model: str | Path = BUNDLED,
    config: TextPretraining | None = None,
    progress: Progress | None = None,
) -> Pretrained:
    """Train a text encoder on item texts, without any label, and keep it in a folder.

    Args:
        items: Items with their words, or texts. Those that are judged later should be left out
            where a judgement is to say something of texts never read.
        out: Folder for the encoder; `recency.TextEncoder(out)` reads it.
        model: Folder, hub id or ``"minilm"``: where to start.
        config: Losses, epochs and the like.
        progress: Called after every batch.

    Returns:
        What the run has left. Where ``out`` holds this very run already, nothing is done.

    Raises:
        ConfigError: a package or the model is missing, or ``out`` holds something else.
        DataError: there are too few texts.
        TrainingDivergedError: the loss is no longer finite.
    """
    config = TextPretraining() if config is None else config
    texts = _texts(items)
    source = SentenceModel.find(model)
    key = {"model": source.identity, "texts": texts, **asdict(config)}
    folder = PretrainingFolder(Path(out), source.folder, key)
    if (finished := folder.finished()) is not None:
        return _result(folder.out, finished)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        run = _Run(source, texts, config, folder)
        run.learn(progress)
    return _result(folder.out, folder.finish(run.facts(), merged(run.model.network)))


class _Run:
    """One call of `pretrain_text`."""

    def __init__(
        self,
        source: SentenceModel,
        texts: list[str],
        config: TextPretraining,
        folder: PretrainingFolder,
    ) -> None:
        self.config, self.folder = config, folder
        tokenizer, network, self.device = load_network(source, config.device)
        if tokenizer.mask_token_id is None:
            raise ConfigError(
                f"expected a tokeniser with a mask token in {source.folder}, found none; "
                f"choose a BERT-class model."
            )
        limit = min(config.max_tokens or source.max_tokens, source.max_tokens)
        rows, self.words = _tokens(tokenizer, texts, limit)
        order = np.random.default_rng(config.seed).permutation(len(rows)).tolist()
        n_held = round(config.valid_share * len(rows))
        self.held = [rows[one] for one in order[:n_held]]
        self.rows = [rows[one] for one in order[n_held:]]
        self.pad = int(tokenizer.pad_token_id or 0)
        if config.lora:
            network = adapted(network, config.lora)
        spoken = torch.from_numpy(self.words).to(self.device)
        self.model = LanguageModel(network, spoken, int(tokenizer.mask_token_id)).to(self.device)
        if config.causal:
            self.model.refuse_deaf()
        self.learned = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in self.learned.values() if p.ndim > 1], "weight_decay": 0.01},
                {"params": [p for p in self.learned.values() if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=config.highest_rate,
        )
        self.history: list[dict[str, Any]] = []

    def learn(self, progress: Progress | None) -> None:
        """Go through the epochs, from the one on where an earlier call stopped."""
        self.history = self.folder.resume(self.learned, self.optimizer)
        if not self.history:
            self._remember(PretrainingRecord(0, None, *self._judge(), 0.0))
        while len(self.history) <= self.config.all_epochs:
            began, epoch = time.perf_counter(), len(self.history)
            loss = self._run_epoch(epoch, progress)
            seconds = time.perf_counter() - began
            self._remember(PretrainingRecord(epoch, loss, *self._judge(), seconds))
            self.folder.keep(self.learned, self.optimizer, self.history)

    def facts(self) -> dict[str, Any]:
        """Tell what was learned from, and how it went."""
        return {
            "n_texts": len(self.rows),
            "n_words": len(self.words),
            "n_learned": sum(one.numel() for one in self.learned.values()),
            "history": self.history,
        }

    def _remember(self, record: PretrainingRecord) -> None:
        self.history.append(asdict(record))

    def _run_epoch(self, epoch: int, progress: Progress | None) -> float:
        config, rng = self.config, np.random.default_rng((self.config.seed, epoch))
        torch.manual_seed(int(rng.integers(2**62)))  # of dropout
        draw = torch.Generator().manual_seed(int(rng.integers(2**62)))
        batches = _batches([len(row) for row in self.rows], config.tokens, rng)
        self.model.train()
        for name, weight in self.learned.items():
            weight.requires_grad_(epoch > config.readers_first or not name.startswith("network."))
        total, began = 0.0, time.perf_counter()
        for index, chosen in enumerate(batches):
            rate = self._rate(epoch, index / len(batches))
            loss = self._run_batch(self._tensors([self.rows[one] for one in chosen]), rate, draw)
            if not math.isfinite(loss):
                raise TrainingDivergedError(
                    f"expected a finite loss, found {loss} in epoch {epoch}, batch {index + 1} of "
                    f"{len(batches)}; lower TextPretraining(lr=...)."
                )
            total += loss
            if progress is not None:
                place, n = index + 1, len(batches)
                eta = (time.perf_counter() - began) * self._left(epoch, place / n)
                progress(PretrainingStep(epoch, config.all_epochs, place, n, loss, eta))
        return total / len(batches)

    def _left(self, epoch: int, part: float) -> float:
        """Tell how many times the work of this epoch so far, a share of it, is left in all."""
        first = self.config.readers_first
        costs = [1 if one <= first else _ALL_LEARN for one in range(1, self.config.all_epochs + 1)]
        return sum(costs[epoch - 1 :]) / (costs[epoch - 1] * part) - 1

    def _rate(self, epoch: int, part: float) -> float:
        """Give the learning rate; ``part`` is the share of the epoch that lies behind."""
        config = self.config
        if epoch <= config.readers_first:
            return _READERS_RATE
        done = (epoch - config.readers_first - 1 + part) / config.epochs
        return config.highest_rate * min(1.0, (done + 1e-3) / _WARMUP) * (1 - 0.95 * done)

    def _run_batch(self, rows: Rows, rate: float, draw: torch.Generator) -> float:
        """Learn from one batch at a learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        total, config, model = 0.0, self.config, self.model
        losses: list[tuple[float, Callable[[], Tensor]]] = [
            (config.masked, lambda: model.masked_nats(rows, config.mask_share, draw)),
            (config.causal, lambda: model.causal_nats(rows)),
        ]
        self.optimizer.zero_grad(set_to_none=True)
        with quick_products():
            for weight, loss in losses:
                if weight:  # one after the other: both at once would take twice the memory
                    nats = weight * loss()
                    torch.autograd.backward(nats)
                    total += float(nats.detach())
        torch.nn.utils.clip_grad_norm_(list(self.learned.values()), _CLIP)
        self.optimizer.step()
        return total

    def _judge(self) -> tuple[float | None, float | None]:
        """Measure both losses on the texts held back, the same words hidden each time."""
        if not self.held:
            return None, None
        draw = torch.Generator().manual_seed(self.config.seed)
        sums, n_rows = np.zeros(2), 0
        self.model.eval()
        config = self.config
        with torch.no_grad(), quick_products():
            for chosen in _batches([len(row) for row in self.held], config.tokens):
                rows = self._tensors([self.held[one] for one in chosen])
                sums += len(chosen) * np.array([
                    float(self.model.masked_nats(rows, config.mask_share, draw))
                    if config.masked else 0.0,
                    float(self.model.causal_nats(rows)) if config.causal else 0.0,
                ])  # fmt: skip
                n_rows += len(chosen)
        masked, causal = (sums / n_rows).tolist()
        return masked if config.masked else None, causal if config.causal else None

    def _tensors(self, rows: list[list[int]]) -> Rows:
        """Pad rows of tokens."""
        tokens = np.full((len(rows), max(map(len, rows))), self.pad)
        real = np.zeros(tokens.shape, bool)
        for place, row in enumerate(rows):
            tokens[place, : len(row)] = row
            real[place, : len(row)] = True
        words = np.searchsorted(self.words, tokens).clip(max=len(self.words) - 1)
        words[(self.words[words] != tokens) | ~real] = -1

        def moved(cells: Any) -> Tensor:
            return torch.from_numpy(cells).to(self.device)

        return Rows(moved(tokens), moved(real), moved(words))


def _texts(items: Catalogue | ItemTexts | Sequence[str]) -> list[str]:
    """Give each text once."""
    if isinstance(items, Catalogue):
        items = item_texts(items)
    texts = items.texts if isinstance(items, ItemTexts) else cleaned(items)
    return sorted({text for text in texts if text})


def _tokens(
    tokenizer: Any, texts: list[str], limit: int
) -> tuple[list[list[int]], npt.NDArray[np.int64]]:
    """Give the tokens of each text that has words, and all that occur, marks left out."""
    rows = tokenizer(texts, truncation=True, max_length=limit)["input_ids"]
    marks = set(tokenizer.all_special_ids)
    rows = [row for row in rows if set(row) - marks]
    if len(rows) < _FEWEST:
        raise DataError(
            f"expected {_FEWEST} different item texts at least, found {len(rows)}; check the "
            f"columns that hold words."
        )
    return rows, np.array(sorted({one for row in rows for one in row} - marks), np.int64)


def _batches(
    lengths: Sequence[int], tokens: int, rng: np.random.Generator | None = None
) -> list[list[int]]:
    """Group texts of like length; with a generator in another way each time."""
    size = np.asarray(lengths, np.float64)
    order = np.argsort(size if rng is None else size + rng.random(len(size)), kind="stable")
    batches: list[list[int]] = []
    for one in order.tolist():  # ascending: the newest is the longest
        if not batches or (len(batches[-1]) + 1) * lengths[one] > tokens:
            batches.append([])
        batches[-1].append(one)
    if rng is not None:
        rng.shuffle(batches)
    return batches


def _result(folder: Path, facts: dict[str, Any]) -> Pretrained:
    history = tuple(PretrainingRecord(**one) for one in facts["history"])
    counts = {name: facts[name] for name in ("n_texts", "n_words", "n_learned")}
    return Pretrained(folder=folder, history=history, **counts)
