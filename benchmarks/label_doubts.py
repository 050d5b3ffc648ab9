"""How many of the first doubts are labels that were flipped on purpose, on the crops of a run.

The run's own labels count as right, so its real errors count against the figure.
    python benchmarks/label_doubts.py outputs/car_photos --flip .05 --first 50
"""
import argparse, platform
from pathlib import Path

import numpy as np
import pandas as pd

from mmrag_nb.core import load_array, manifest, versions
from mmrag_nb.doubts import doubts, flip, precision_of_doubts
from mmrag_nb.protocol import crop_rows, usable

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('run', type=Path, help='folder of the stages'); ap.add_argument('--flip', type=float, default=.05); ap.add_argument('--first', type=int, default=50); ap.add_argument('--draws', type=int, default=10)
    a = ap.parse_args()
    rows, _ = usable(crop_rows(a.run))
    vectors, kinds, groups = np.asarray(load_array(a.run/'embed', 'vectors'))[rows.index], rows.kind.to_numpy(object), rows.group.to_numpy(object)
    print(f'python {platform.python_version()}, numpy {versions()["numpy"]}; {len(rows)} crops, encoder {Path(manifest(a.run/"embed")["settings"].get("name", "")).name}, {a.flip:.0%} flipped, {a.draws} draws')
    found = []
    for seed in range(a.draws):
        wrong, flipped = flip(kinds, a.flip, seed)
        found.append({'seed': seed, 'flipped': int(flipped.sum()), f'precision@{a.first}': precision_of_doubts(doubts(vectors, wrong, groups), flipped, a.first)})
    t = pd.DataFrame(found)
    print(t.to_string(index=False)); print(f'mean {t.iloc[:, 2].mean():.3f}, from {t.iloc[:, 2].min():.2f} to {t.iloc[:, 2].max():.2f}; by chance {a.flip:.2f}')

if __name__ == '__main__': main()
