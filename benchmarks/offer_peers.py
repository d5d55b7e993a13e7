"""Rows of accepted offers in, rows drawn by CTGAN (Xu et al. 2019, package ctgan) with its own defaults out.

    python benchmarks/offer_peers.py rows.csv drawn.csv NUMBER EPOCHS

Called by offer.py in the interpreter that OFFER_PEER names.
"""

import sys
import time

sys.path.pop(0)  # torch imports the standard library's `profile`; beside this script lies another

import pandas as pd
import torch
from ctgan import CTGAN


def main(source: str, target: str, number: str, epochs: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = pd.read_csv(source, dtype={"percent": str, "valid_days": str}, keep_default_na=False)
    start = time.process_time()
    model = (
        CTGAN(epochs=int(epochs), enable_gpu=False)
        if "enable_gpu" in CTGAN.__init__.__code__.co_varnames
        else CTGAN(epochs=int(epochs), cuda=False)
    )
    model.set_random_state(0)
    model.fit(rows, ["target", "because", "percent", "valid_days", "channel"])
    model.sample(int(number)).to_csv(target, index=False)
    print(f"CTGAN: {time.process_time() - start:.0f} CPU s", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
