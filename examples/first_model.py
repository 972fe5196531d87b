"""Fit a model on a synthetic shop, judge it against the baselines, ask it at two instants.

python examples/first_model.py
"""

import recency as rc
from recency.data.synthetic import shop
from recency.units import DAY


def main(n_users: int = 500, epochs: int = 10) -> None:
    """Run the example; a test runs it smaller."""
    made = shop(n_users=n_users, n_items=100, seed=0)
    train, test = made.log.split_at(made.log.quantile(0.9))

    config = rc.TrainConfig(epochs=epochs)
    model = rc.SequenceRecommender(rc.LSTM(dim=32), training=config, seed=0).fit(train)
    print(rc.evaluate(model, test, k=10, history="rolling"))

    # Every question is asked at an instant. A week later the weekday is the same, the gap is not.
    user = train.events["user_id"][-1]
    for at in (train.end, train.end + 7 * DAY):
        print(model.recommend([user], k=5, at=at).to_frame())


if __name__ == "__main__":
    main()
