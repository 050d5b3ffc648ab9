"""Where the damage map looks on photos that the memory doesn't know, and when a vote should abstain.

Needs a finished run (`mmrag run car_photos --data SHARED/data --out RUN --set encoder=SHARED/weights/mobilenet_v2 --set crops.size=160 …`) with the same settings.
    python benchmarks/damage_map.py car_photos --data SHARED/data --out RUN --set encoder=SHARED/weights/mobilenet_v2 --set crops.size=160 --photos 60
Map: AUROC of windows and pointing game, against the middle of the photo and chance. Abstention: lines drawn on train photos (each asked of a memory without its own group), tried on test photos.
"""
import argparse, platform, time
from pathlib import Path

import numpy as np
import pandas as pd
from shapely import from_wkb

from mmrag_nb import pipeline
from mmrag_nb.abstain import conformal
from mmrag_nb.core import load, load_array, progress, versions
from mmrag_nb.damage_map import NEAREST, damage_map, lead, map_figures, mean_of
from mmrag_nb.index import Limits
from mmrag_nb.pixels import read_photo

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('domain'); ap.add_argument('--data', type=Path, required=True); ap.add_argument('--out', type=Path, required=True)
    ap.add_argument('--set', action='append', default=[], dest='settings'); ap.add_argument('--photos', type=int, default=60); ap.add_argument('--known', type=int, default=120); ap.add_argument('--seed', type=int, default=0)
    a = ap.parse_args()
    job = pipeline.job(a.domain, a.data, a.out, settings=tuple(a.settings))
    print(f'python {platform.python_version()}, ' + ', '.join(f'{k} {v}' for k, v in versions().items()) + f', domain {a.domain} {" ".join(Path(s).name for s in a.settings)}, seed {a.seed}')
    r, t = pipeline.open_retriever(job), load(a.out/'split', 'split').merge(load(a.out/'photos', 'photos'), on='photo_id')
    test, train = (some(t[t.side == s], n, a.seed) for s, n in (('test', a.photos), ('train', a.known)))
    crop_lines(r, a.out)
    show_map(job, maps(r, job, test), test)
    show_lines(maps(r, job, train, own=True), train, maps.last, test, r)

def some(photos: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    "As many damaged as clean photos, of a group one."
    one = photos[photos.has_damage.notna()].drop_duplicates('group').sample(frac=1, random_state=seed)
    return one.groupby(one.has_damage.astype(bool)).head(n//2).sort_values('photo_id')

def maps(r, job, photos: pd.DataFrame, own: bool = False) -> list:
    t0 = time.perf_counter()
    def limits(p): return Limits(exclude_group=p.group) if own and 'group' in r.index.state.columns else Limits(exclude=p.photo_id) if own else None
    found = [damage_map(r, read_photo(job.data/p.photo_id), limits=limits(p)) for p in progress(list(photos.itertuples()), 'maps')]
    print(f'{len(found)} photos, {np.mean([len(m.boxes) for m in found]):.0f} windows each, {(time.perf_counter() - t0)/len(found):.2f} s a photo')
    if not own: maps.last = found
    return found

def crop_lines(r, out: Path):
    "The same for single windows, from stored vectors: each crop asked of a memory without its own photo's group."
    crops = load(out/'crops', 'crops').merge(load(out/'embed', 'rows').assign(at=lambda t: range(len(t)))[['crop_id', 'at']], on='crop_id').merge(load(out/'split', 'split')[['photo_id', 'group']], on='photo_id')
    crops, v, sides = crops[crops.has_damage.notna()], load_array(out/'embed', 'vectors'), {}
    for side in ('train', 'test'):
        one = crops[crops.side == side]
        def near(c, d): return [r.index.search(v[c.at], NEAREST, {'has_damage': d}, Limits(exclude_group=c.group) if 'group' in r.index.state.columns else Limits(exclude=c.photo_id))]
        sides[side] = np.array([lead(near(c, True), near(c, False))[0] for c in one.itertuples()]), one.has_damage.astype(bool).to_numpy()
    print('single windows, lines from train crops, tried on test crops')
    lines_table(*sides['train'], *sides['test'], r)

def show_map(job, found: list, photos: pd.DataFrame):
    regions = load(job.out/'photos', 'regions')
    outlines = {p: list(from_wkb(g.geometry)) for p, g in regions.groupby('photo_id')}
    rows = [map_figures(m, outlines[p]) for m, p in zip(found, photos.photo_id) if p in outlines]
    print(mean_of(pd.DataFrame(rows)).round(3).to_string(index=False))

def show_lines(known: list, train: pd.DataFrame, found: list, test: pd.DataFrame, r):
    print('photos, lines from train photos, tried on test photos')
    lines_table(*(np.array(x) for x in ([m.score for m in known], train.has_damage.astype(bool), [m.score for m in found], test.has_damage.astype(bool))), r)

def lines_table(s, y, st, yt, r):
    from sklearn.metrics import roc_auc_score
    print(f'AUROC damaged or clean: train {roc_auc_score(y, s):.3f} ({y.sum()}+{(~y).sum()}), test {roc_auc_score(yt, st):.3f} ({yt.sum()}+{(~yt).sum()})')
    rows = []
    for c in (.7, .8, .9):
        l = conformal(s, y, c, r.index.encoder)
        a = [l.answer(x) for x in st]
        said = np.array([x is not None for x in a])
        rows.append({'coverage': c, 'truth kept, damaged': (st[yt] >= l.damaged_from).mean(), 'truth kept, clean': (st[~yt] <= l.clean_to).mean(), 'answered': said.mean(), 'right of answered': np.mean([x == t for x, t in zip(a, yt) if x is not None]) if said.any() else np.nan})
    always = (st >= np.median(s)) == yt
    print(pd.DataFrame(rows).round(3).to_string(index=False), f'\nwithout abstaining, line at the median of train: {always.mean():.3f} right')

if __name__ == '__main__': main()
