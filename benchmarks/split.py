"""How long the split of 2,711 photos in about 470 shoots takes, how balanced it is, and how many photos a few corrections move.

Three ways side by side, on the same drawn tables: whole groups drawn by lot, our integer program without preferences, and with them (as the
package does it). Seconds are of the process; "off" is the largest deviation of any label from its share, in photos.
    python benchmarks/split.py --photos 2711 --shoots 471 --tables 5
"""
import argparse, tempfile, time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from mmrag_nb import balance, split
from mmrag_nb.core import Made, run_stage, versions
from mmrag_nb.domain import parse_domain

KINDS = dict(surface_scratch=.7, dent=.3, paint_peeling=.15, deep_scratch=.25, crack=.05, missing_part=.02, missing_accessory=.01, misaligned_part=.08)

def tables(n: int, shoots: int, seed: int) -> tuple[pd.Series, pd.DataFrame]:
    "Groups of uneven size that share their damage, and their labels: 8 kinds, 10 zones, 3 densities, 3 severities."
    r = np.random.default_rng(seed); w = r.gamma(1.2, 1, shoots); g = np.concatenate([np.arange(shoots), r.choice(shoots, n - shoots, p=w/w.sum())])
    labels = {f'kind={k}': r.random(n) < p*r.uniform(.3, 1.7, shoots)[g] for k, p in KINDS.items()}
    for name, values in (('zone', (r.integers(0, 10, shoots)[g] + r.integers(0, 3, n)) % 10), ('density', r.integers(0, 3, n))): labels |= {f'{name}={v}': values == v for v in np.unique(values)}
    labels |= {f'severity={k}': r.random(n) < p for k, p in (('minor', .8), ('moderate', .2), ('severe', .05))}
    return pd.Series([f'shoot{i:04}' for i in g]), pd.DataFrame(labels)

def corrected(labels: pd.DataFrame, photos: int, seed: int) -> pd.DataFrame:
    "Some kinds of some photos looked at again."
    r = np.random.default_rng(seed); t = labels.to_numpy(copy=True)
    t[np.ix_(r.choice(len(t), photos, False), range(len(KINDS)))] ^= r.random((photos, len(KINDS))) < .2
    return pd.DataFrame(t, columns=labels.columns)

def by_lot(groups, labels, share):
    lots = groups.map({g: balance._lot(g, 0) for g in groups.unique()})
    return (lots.rank(method='max') <= share*len(groups)).to_numpy()

def without(groups, labels, share):
    with patch.object(balance, '_lot', lambda name, seed: 0.): return balance.choose_groups(groups, labels, share)

def stage(groups, labels) -> float:
    "CPU seconds of the whole stage, from the photos' tables to the certificate; without the look at photos."
    n = len(groups); when = 1_554_000_000_000 + groups.str[5:].astype(int)*900_000 + np.arange(n)
    ids = [f'x_{t}_zona.jpg' for t in when]; names = list(KINDS)
    regions = pd.DataFrame([(ids[i], k, 'minor') for k in names for i in np.flatnonzero(labels[f'kind={k}'])], columns=['photo_id', 'kind', 'severity'])
    zone = labels.filter(like='zone=').idxmax(axis=1)
    photos = pd.DataFrame({'photo_id': ids, 'sha256': ids, 'zone': zone, 'has_damage': pd.Series(ids).isin(regions.photo_id).astype('boolean')})
    photos['n_regions'] = photos.photo_id.map(regions.photo_id.value_counts()).fillna(0)
    domain = parse_domain('name: x\nfields: {zone: {}}\nsplit: {balance: [kinds, zone, has_damage, density], group: {from_name: "_([0-9]{13})_", within_seconds: 60, near_duplicates: false}}')
    with tempfile.TemporaryDirectory() as out:
        run_stage(Path(out)/'photos', [], {}, lambda: Made({'photos': photos, 'regions': regions}))
        t = time.process_time(); split.run_split(domain, None, out)
        return time.process_time() - t

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (('photos', 2711), ('shoots', 471), ('tables', 5), ('corrections', 30)): ap.add_argument(f'--{name}', type=int, default=default)
    ap.add_argument('--share', type=float, default=.2)
    a, rows = ap.parse_args(), []
    print(versions(), 'seeds 0 to', a.tables - 1)
    for seed in range(a.tables):
        groups, labels = tables(a.photos, a.shoots, seed)
        for name, choose in (('groups by lot', by_lot), ('program, no preferences', without), ('program (ours)', balance.choose_groups)):
            t = time.process_time(); chosen = choose(groups, labels, a.share); t = time.process_time() - t
            again = choose(groups, corrected(labels, a.corrections, seed), a.share)
            off = labels[chosen].sum() - a.share*labels.sum()
            torn = groups[chosen].isin(groups[~chosen]).any()
            rows.append({'way': name, 'CPU s': t, 'off': abs(off).max(), 'labels off by 1 or more': (abs(off) >= 1).sum(), 'groups torn': torn, 'moved': (chosen != again).mean()})
    seconds = [stage(*tables(a.photos, a.shoots, seed)) for seed in range(a.tables)]
    print(f'the whole stage: {np.mean(seconds):.2f} CPU s (worst {max(seconds):.2f})')
    t = pd.DataFrame(rows).groupby('way', sort=False)
    print(f'{a.photos} photos, {a.shoots} shoots, {labels.shape[1]} labels, {a.tables} tables; mean (worst)')
    print(pd.DataFrame({c: [f'{m:.3f} ({w:.3f})' for m, w in zip(t[c].mean(), t[c].max())] for c in rows[0] if c != 'way'}, index=t.groups).reindex(t['off'].mean().index).to_string())

if __name__ == '__main__': main()
