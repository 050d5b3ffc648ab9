"""Where the damage map looks on photos that the memory doesn't know, and when a vote should abstain.

Runs what is missing up to the index, then asks. A few minutes an encoder.
    python benchmarks/damage_map.py car_photos --data SHARED/data --out outputs/map --encoders embedded,SHARED/weights/mobilenet_v2 --set crops.size=160
Map: AUROC of windows and pointing game by the nearest examples, by what was learned from train photos (looks, places, both), against the middle of the photo and chance. The test side is
asked once; what is learned was chosen on the train side (--fold tries it there: learned from half of the train photos, tried on the other half).
Abstention: lines drawn on train photos (each asked of a memory without its own group), tried on test photos.
"""
import argparse, platform, time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from shapely import from_wkb

from mmrag_nb import pipeline
from mmrag_nb.abstain import conformal
from mmrag_nb.core import load, load_array, progress, versions
from mmrag_nb.damage_map import NEAREST, damage_map, lead, learn_sight, map_figures, mean_of, seen_with, window_truth
from mmrag_nb.index import Limits
from mmrag_nb.pixels import read_photo

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('domain'); ap.add_argument('--data', type=Path, required=True); ap.add_argument('--out', type=Path, required=True); ap.add_argument('--encoders', default='embedded')
    ap.add_argument('--set', action='append', default=[], dest='settings'); ap.add_argument('--photos', type=int, default=120); ap.add_argument('--known', type=int, default=120); ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('--fold', action='store_true'); ap.add_argument('--map-only', action='store_true')
    a = ap.parse_args()
    print(f'python {platform.python_version()}, ' + ', '.join(f'{k} {v}' for k, v in versions().items()) + f', domain {a.domain} {" ".join(Path(s).name for s in a.settings)}, seed {a.seed}')
    for encoder in a.encoders.split(','): measure(a, encoder)

def measure(a, encoder: str):
    job = pipeline.job(a.domain, a.data, a.out/Path(encoder).name, settings=(f'encoder={encoder}', *a.settings))
    pipeline.run(job, 'index')
    r, t = pipeline.open_retriever(job), load(job.out/'split', 'split').merge(load(job.out/'photos', 'photos'), on='photo_id')
    print(f'\n{Path(encoder).name}, {r.index}')
    train = some(t[t.side == 'train'], a.known, a.seed, a.map_only)
    known = maps(r, job, train, own=True)
    if a.fold:
        half = np.arange(len(train)) % 2 == 0
        return show_map(r, job, [m for m, h in zip(known, half) if not h], train[~half], learned(r, job, [m for m, h in zip(known, half) if h], train[half]))
    test = some(t[t.side == 'test'], a.photos, a.seed, a.map_only)
    found = maps(r, job, test)
    show_map(r, job, found, test, learned(r, job, known, train))
    if a.map_only: return
    crop_lines(r, job.out)
    show_lines(known, train, found, test, r)

def some(photos: pd.DataFrame, n: int, seed: int, damaged_only: bool) -> pd.DataFrame:
    "As many damaged as clean photos, of a group one."
    if damaged_only: photos = photos[photos.has_damage == True]
    one = photos[photos.has_damage.notna()].drop_duplicates('group').sample(frac=1, random_state=seed)
    return one.groupby(one.has_damage.astype(bool)).head(n if damaged_only else n//2).sort_values('photo_id')

def maps(r, job, photos: pd.DataFrame, own: bool = False) -> list:
    t0 = time.perf_counter()
    def limits(p): return Limits(exclude_group=p.group) if own and 'group' in r.index.state.columns else Limits(exclude=p.photo_id) if own else None
    found = [damage_map(r, read_photo(job.data/p.photo_id), limits=limits(p)) for p in progress(list(photos.itertuples()), 'maps')]
    print(f'{len(found)} photos, {np.mean([len(m.boxes) for m in found]):.0f} windows each, {(time.perf_counter() - t0)/len(found):.2f} s a photo')
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

def outlines_of(job) -> dict: return {p: list(from_wkb(g.geometry)) for p, g in load(job.out/'photos', 'regions').groupby('photo_id')}

def learned(r, job, found: list, photos: pd.DataFrame):
    lines = outlines_of(job)
    pairs = [(m, window_truth(m.boxes, lines[p])) for m, p in zip(found, photos.photo_id) if p in lines]
    return learn_sight(*map(list, zip(*pairs)), r.index.encoder)

def show_map(r, job, found: list, photos: pd.DataFrame, sight):
    lines, e = outlines_of(job), r.index.encoder
    asked = [(m, lines[p]) for m, p in zip(found, photos.photo_id) if p in lines]
    ways = {'nearest examples': lambda m: m, 'looks': lambda m: seen_with(replace(sight, places=0*sight.places), m, e), 'places': lambda m: seen_with(replace(sight, direction=0*sight.direction, offset=0.), m, e), 'looks and places': lambda m: seen_with(sight, m, e)}
    figures = {w: mean_of(pd.DataFrame([map_figures(f(m), o) for m, o in asked])).set_index('figure') for w, f in ways.items()}
    base = next(iter(figures.values()))
    rows = {w: f.loc[['auroc', 'pointing']] for w, f in figures.items()} | {'middle of the photo': base.loc[['auroc_center', 'pointing_center']], 'chance (its AUROC is .5)': base.loc[['pointing_random']]}
    said = lambda x: f'{x["mean"]:.3f} ({x.low:.3f} to {x.high:.3f})'
    print(f'learned from {sight.photos} photos, asked about {len(asked)}; 95 % intervals over photos')
    print(pd.DataFrame([{'map by': w, **{c.split('_')[0]: said(x) for c, x in f.iterrows()}} for w, f in rows.items()]).to_string(index=False))

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
