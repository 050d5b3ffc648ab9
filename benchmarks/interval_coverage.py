"""Do 95 % intervals hold the truth 95 % of the time? Drawn answers with a known truth: crops of a photo agree, kinds are uneven.

    python benchmarks/interval_coverage.py --trials 300
"""
import argparse, platform

import numpy as np
import pandas as pd

from mmrag_nb.metrics import draw_groups, summarise

CHANCE = np.array([.85, .6, .4, .2])   # of a right answer, by kind
SHARE = np.array([.6, .25, .1, .05])   # of the crops

def answers(photos: int, r) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    "Right or wrong, kind and photo of each crop; photos are easier or harder as a whole."
    crops = r.integers(1, 13, photos); photo = np.repeat(np.arange(photos), crops)
    ease, kind = r.normal(0, .3, photos)[photo], r.choice(4, len(photo), p=SHARE)
    return (r.random(len(photo)) < np.clip(CHANCE[kind] + ease, 0, 1)).astype(float), kind, photo.astype(str)

def truth(r, photos: int = 200_000) -> dict[str, float]:
    right, kind, _ = answers(photos, r)
    return {'micro': right.mean(), 'macro': float(np.mean([right[kind == k].mean() for k in range(4)]))}

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--trials', type=int, default=300); ap.add_argument('--draws', type=int, default=1000); ap.add_argument('--seed', type=int, default=0)
    a = ap.parse_args(); r = np.random.default_rng(a.seed); true = truth(r)
    print(f'python {platform.python_version()}, numpy {np.__version__}, seed {a.seed}; truth: micro {true["micro"]:.3f}, macro {true["macro"]:.3f}')
    rows = []
    for photos in (15, 40, 120):
        for by in ('photos', 'crops'):
            held = {'micro': [], 'macro': []}
            for _ in range(a.trials):
                right, kind, photo = answers(photos, r)
                group = photo if by == 'photos' else np.arange(len(photo)).astype(str)
                t = summarise(pd.DataFrame({'right': right}), np.array([f'k{k}' for k in kind], object), group, draw_groups(group, a.draws, a.seed)).query('by == "all"').set_index('average')
                for n in held: held[n].append((t.low[n] <= true[n] <= t.high[n], t.high[n] - t.low[n]))
            rows.append({'photos': photos, 'drawn again': by} | {f'{n} held': np.mean([h for h, _ in v]) for n, v in held.items()} | {f'{n} width': np.mean([w for _, w in v]) for n, v in held.items()})
    print(pd.DataFrame(rows).round(3).to_string(index=False))

if __name__ == '__main__': main()
