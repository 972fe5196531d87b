"""A trial of encoder and experts together on the newest slice of the training time.

The slice is lived through as service would: every question is answered from what was known strictly
before it, then its event is counted. The gate's trust and lift are learned on the way, since only
here is the encoder asked about events later than all it learned.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recency.data.batches import TrainingWindows
from recency.data.histories import Ints
from recency.nn.evidence import EvidenceTable
from recency.nn.experts import FLOOR
from recency.nn.inputs import Tensors
from recency.nn.life import Life
from recency.nn.model import SequenceModel
from recency.nn.voices import voices_of
from recency.training.lift import Vote, Votes
from recency.training.validation import VALID_TOKENS

_MOST = 5_000  # questions of a judgement
_CELLS = 2**27  # scores of a judgement


class Trial:
    """Judge a model with experts by the NDCG@10 of the newest slice.

    Args:
        model: What is judged; its weights change between judgements.
        newest: Shows which items were seen before the slice; targets on them are measured.
        arrivals: All targets of the slice: what trust and lift are learned from.
        evidence: Of all events.
    """

    def __init__(
        self,
        model: SequenceModel,
        newest: TrainingWindows,
        arrivals: TrainingWindows,
        evidence: EvidenceTable,
    ) -> None:
        assert model.experts is not None
        self._model, self._evidence, self._arrivals = model, evidence, arrivals
        histories = arrivals.histories
        seen = np.zeros(model.n_items, bool)
        items = newest.histories.items
        seen[items[items >= 0]] = True
        self._seen = seen
        judged, most = arrivals.positions, min(_MOST, max(1, _CELLS // model.n_items))
        if len(judged) > most:
            judged = judged[np.linspace(0, len(judged) - 1, most).astype(np.int64)]
        self._judged = judged[np.argsort(histories.times[judged], kind="stable")]
        self._warm = seen[histories.items[self._judged]]
        world = np.argsort(histories.times, kind="stable")
        until = model.experts.config.known_until(histories.times[self._judged])
        self._stops = np.searchsorted(histories.times[world], until)
        items = histories.items[world]
        self._life = Life(
            model.experts.config, histories.user_of[world], items, histories.times[world]
        )
        rows, first = np.unique(items, return_index=True)
        self._came = np.full(model.n_items, len(world))  # place of each item's first event
        self._came[rows[rows >= 0]] = first[rows >= 0]
        self._life.until(int(self._stops[0]))

    @torch.no_grad()
    def judge(self) -> float:
        """Learn the gate's trust and lifts, then measure the mean NDCG@10.

        Lifts are found on all questions, the one for lists of new items on those whose target is
        new to the user. The measure is of targets on items seen before the slice, since others have
        no weights yet that could learn; they are ranked among all that came.
        """
        self._model.eval()
        experts = self._model.experts
        assert experts is not None
        queries = self._queries()
        experts.lift.zero_()
        self._calibrate(queries)
        of_judged = queries[np.searchsorted(self._arrivals.positions, self._judged)]
        news, votes = self._votes(of_judged)
        lift = votes.best()
        of_news = lift if news is None else news.best()
        experts.lift.copy_(torch.from_numpy(np.stack((of_news, lift))))
        gains = votes.gains(lift)
        return float(gains[self._warm].mean() if self._warm.any() else gains.mean())

    def _queries(self) -> Tensor:
        """Give the query of every arrival, in the order of their positions."""
        model, device = self._model, self._model.bias.device
        queries = torch.zeros(self._arrivals.n_targets, model.dim, device=device)
        for part in self._arrivals.epoch(VALID_TOKENS):
            outputs, _ = model(Tensors.from_batch(part.batch, device))
            cells = (part.rows, part.sources, part.last_times, part.at)
            rows, sources, last, at = (torch.from_numpy(cell).to(device) for cell in cells)
            places = np.searchsorted(self._arrivals.positions, part.positions)
            queries[places] = model.ask(outputs[rows, sources], last, at)
        return queries

    def _calibrate(self, queries: Tensor) -> None:
        experts, device = self._model.experts, queries.device
        assert experts is not None
        experts.trust.zero_()
        parts = []
        positions = torch.from_numpy(self._arrivals.positions)
        for q, at in zip(torch.split(queries, 4_096), torch.split(positions, 4_096), strict=True):
            targets = self._arrivals.histories.items[at.numpy()].astype(np.int64)
            rows = torch.from_numpy(targets).to(device)
            encoder = -self._model.nats(q, rows)
            # The encoder has no weights yet for what came only now.
            encoder[torch.from_numpy(~self._seen[targets]).to(device)] = math.log(FLOOR)
            given = self._evidence.of(at.numpy(), device)
            parts.append(experts.parts(q, encoder, rows, given))
        experts.calibrate(experts.gates(queries), torch.cat(parts))

    def _votes(self, queries: Tensor) -> tuple[Votes | None, Votes]:
        """Say what every expert says of the judged questions, living through the slice.

        Returns:
            Of questions whose target is new to the user, own items being no candidates, None where
            there is none; and of all.
        """
        model, life = self._model, self._life.copy()
        assert model.experts is not None
        histories = self._arrivals.histories
        context = self._evidence.context(self._judged)
        voices = voices_of(model.experts, queries, context, repeats=True)
        block, users = max(1, 2**24 // model.n_items), histories.user_of[self._judged]
        votes: list[Vote] = []
        news: dict[int, Vote] = {}
        unlearned = torch.from_numpy(~self._seen).to(queries.device)
        for start in range(0, len(queries), block):
            scores = model.scores(queries[start : start + block]).masked_fill(unlearned, -torch.inf)
            encoder = torch.softmax(scores, dim=1).double().cpu().numpy()
            for row in range(start, start + len(encoder)):
                stop = int(self._stops[row])
                parts = life.until(stop).parts(voices, row, encoder[row - start])
                target = int(histories.items[self._judged[row]])
                own = np.zeros(model.n_items, bool)
                own[voices.items[row][voices.items[row] >= 0]] = True
                again, before = float(voices.again[row]), self._before(row)
                votes.append(Vote.of(parts, own, again, target, self._allowed(target, stop)))
                if target not in before:
                    news[row] = votes[-1].without(before)
        fresh = Votes(list(news.values()), users[list(news)]) if news else None
        return fresh, Votes(votes, users)

    def _before(self, row: int) -> Ints:
        """List the items that the user of a judged question took before it."""
        histories, position = self._arrivals.histories, self._judged[row]
        start = histories.offsets[histories.user_of[position]]
        items = histories.items[start : histories.group_start[position]].astype(np.int64)
        known: Ints = items[items >= 0]
        return known

    def _allowed(self, target: int, stop: int) -> npt.NDArray[np.bool_]:
        """Tell which items [n_items] a target is ranked among: those that came, of its domain."""
        allowed: npt.NDArray[np.bool_] = self._seen | (self._came < stop)
        if self._model.domains is not None:
            codes = self._model.domains.of_items.cpu().numpy()
            allowed &= codes == codes[target]
        return allowed
