"""SVD++ of scikit-surprise. Runs in ``.venvs/heads``; see ``benchmarks.heads.peers``.

Settings are those of ``surprise.SVDpp``. A user or item unknown to training is answered by what is
left of the sum, as the library does, and answers are kept inside the scale.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import surprise


def main() -> None:
    """Learn from the ratings given, and foretell those asked for."""
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    with np.load(folder / "given.npz") as given:
        frame = pd.DataFrame({name: given[name] for name in ("user", "item", "value")})
        users, items = given["asked_user"].tolist(), given["asked_item"].tolist()
    scale = surprise.Reader(rating_scale=(frame["value"].min(), frame["value"].max()))
    train = surprise.Dataset.load_from_df(frame, scale).build_full_trainset()
    model, began = surprise.SVDpp(**settings), time.perf_counter()
    model.fit(train)
    seconds = time.perf_counter() - began
    found = [model.predict(user, item).est for user, item in zip(users, items, strict=True)]
    np.savez(folder / "found.npz", value=np.array(found))
    about = {"version": f"scikit-surprise {surprise.__version__}", "train_seconds": seconds}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


if __name__ == "__main__":
    main()
