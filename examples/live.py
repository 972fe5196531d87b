"""Let events arrive: memories move at once, weights when told, new users and items join.

python examples/live.py
"""

import polars as pl

import recency as rc
from recency.data.synthetic import shop


def main(n_users: int = 300, epochs: int = 5) -> None:
    """Run the example; a test runs it smaller."""
    log = shop(n_users=n_users, n_items=80, days=60, seed=2).log
    train, live = log.split_at(log.quantile(0.9))
    config = rc.TrainConfig(epochs=epochs)
    model = rc.SequenceRecommender(rc.GRU(dim=32), training=config, seed=0).fit(train)

    newcomer = {"user_id": "newcomer", "item_id": train.events["item_id"][0]}
    print("unknown user:", model.recommend(["newcomer"], k=3).to_frame())

    # One event of a user never seen before; the next answer already knows it.
    at = pl.Series([live.start]).cast(pl.Datetime("us", "UTC"))[0]
    model.observe([newcomer | {"timestamp": at}])
    print("after one event:", model.recommend(["newcomer"], k=3).to_frame())

    # The rest of the log, then learning on it: rows of old items stay where they are.
    model.observe(live)
    model.partial_fit(live)
    print("after learning on:", model.recommend(["newcomer"], k=3).to_frame())


if __name__ == "__main__":
    main()
