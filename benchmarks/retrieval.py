"""What the options of retrieval are worth on real photos: the memory is the train side, the test side asks, from pixels alone.

    python benchmarks/retrieval.py merge probability diversity rerank --data SHARED/data --out outputs/retrieval --encoders embedded,SHARED/weights/mobilenet_v2
    python benchmarks/retrieval.py overhead

merge:       a whole photo asked window by window: how the windows' lists are brought together, against one look at the whole photo.
probability: the curve learned from the memory itself, on the test side's questions: Brier score, ECE, reliability, what a cut-off keeps.
diversity:   MMR, hits per photo, contrast: what they cost and bring, against the nearest.
rerank:      the twenty nearest looked at again by their cells under the outlines; the question's own outline known, or not.
overhead:    Retriever.search with a vector, over the bare FAISS call, 2,500 x 1024, in turn; median microseconds.

Intervals are 95 %, over groups of photos drawn again; differences are paired. "macro" counts every kind the same. Stages and vectors are kept under OUT/ENCODER,
so a second run takes a minute; another encoder, or another checkpoint under the same name, is embedded anew.
"""
import argparse, platform, time
from pathlib import Path

import numpy as np
import pandas as pd

from mmrag_nb.calibrate import calibrate, honesty, pairs
from mmrag_nb.core import load, versions
from mmrag_nb.diverse import contrast, diverse
from mmrag_nb.examples import vote
from mmrag_nb.hits import Pictures
from mmrag_nb.index import Limits, in_memory
from mmrag_nb.merge import evidence, merge, windows_of
from mmrag_nb.metrics import Answered, difference, draw_groups, summarise
from mmrag_nb.pipeline import job, open_retriever, run
from mmrag_nb.pixels import read_photo
from mmrag_nb.rerank import Cells, cells_of, filled, max_similarity
from mmrag_nb.retrieve import Retriever
from mmrag_nb.where import Vocabulary

class World:
    "A run: its retriever, its photos, the test side's crops with their vectors."
    def __init__(self, domain: str, data: Path, out: Path, encoder: str):
        self.job = job(domain, data, out/Path(encoder).name, settings=(f'encoder={encoder}',))
        run(self.job, 'index')
        self.retriever, self.data, self.pictures = open_retriever(self.job), data, Pictures(data, self.job.out)
        group = load(self.job.out/'split', 'split').set_index('photo_id')
        self.photos = load(self.job.out/'photos', 'photos').assign(group=lambda t: t.photo_id.map(group.group), side=lambda t: t.photo_id.map(group.side))
        crops = load(self.job.out/'crops', 'crops').query('side == "test"').reset_index(drop=True)
        self.vectors = self.kept('crops', lambda: self.retriever.encoder.image([self.pictures.cut(r) for r in crops.to_dict('records')]))
        self.crops = crops.assign(group=crops.photo_id.map(group.group), kind=[k[0] if len(k) else 'clean' for k in crops.kinds])


    def kept(self, name: str, make) -> np.ndarray:
        "An array, made once for an encoder."
        path = self.job.out/f'{name}-{self.retriever.index.encoder[:12]}.npy'
        if not path.exists(): np.save(path, make())
        return np.load(path)

def table(values: dict[str, pd.DataFrame], kinds, groups, against: str) -> pd.DataFrame:
    "Each way's macro and micro averages, and its paired difference from one of them."
    draws, rows = draw_groups(groups), {}
    of = {n: Answered(v.astype(float), np.asarray(kinds, object), np.asarray(groups)) for n, v in values.items()}
    for n, a in of.items():
        s = summarise(a.values, a.kinds, a.group, draws).query('by == "all"').set_index(['average', 'measure'])
        rows[n] = {f'{avg} {m}': f'{r.value:.3f} ({r.low:.3f}–{r.high:.3f})' for (avg, m), r in s.iterrows()}
        for m in a.values if n != against else ():
            d = difference(a, of[against], draws, m)
            rows[n][f'macro {m} against {against}'] = f'{d["value"]:+.3f} ({d["low"]:+.3f} to {d["high"]:+.3f}) {d["words"]}'
    return pd.DataFrame(rows).T.fillna('')

# --- merge

def main_kind(regions: pd.DataFrame) -> pd.Series:
    "The kind that covers most of each photo."
    area = (regions.x1 - regions.x0)*(regions.y1 - regions.y0)
    return regions.assign(area=area).groupby(['photo_id', 'kind']).area.sum().reset_index().sort_values('area').groupby('photo_id').kind.last()

def asked_by_window(w: World) -> tuple[pd.DataFrame, list[np.ndarray], np.ndarray]:
    "Damaged test photos, the vectors of their windows, and of the photos as a whole."
    photos = w.photos[(w.photos.side == 'test') & (w.photos.has_damage == True)].reset_index(drop=True)
    def see(boxes_of):
        seen = []
        for p in photos.itertuples():
            im = read_photo(w.data/p.photo_id, int(p.orientation))
            seen.append(w.retriever.encoder.image([np.ascontiguousarray(im[y0:y1, x0:x1]) for x0, y0, x1, y1 in boxes_of(im)]))
        return np.concatenate(seen)
    rules = w.job.domain.crops
    every = w.kept('windows', lambda: see(lambda im: windows_of(im.shape, rules)))
    counts = [len(windows_of((p.height, p.width), rules)) for p in photos.itertuples()]
    return photos, np.split(every, np.cumsum(counts)[:-1]), w.kept('photos', lambda: see(lambda im: [(0, 0, im.shape[1], im.shape[0])]))

def ways(found: list, whole, k: int) -> dict[str, list]:
    "Kinds of the hits of each way to bring the windows together, best first."
    state = found[0].state
    kinds = lambda rows: [list(x) for x in state.take(rows, ['kinds'])['kinds'].to_pylist()]
    by_kind = [[k] for k in evidence(found).kind if k != 'clean']
    return {**{f'merged: {how}': kinds(merge(found, how, k).rows) for how in ('max', 'mean', 'rrf')}, 'evidence by window': by_kind, 'the whole photo, one look': kinds(whole.rows)}

def merging(w: World, a):
    photos, windows, whole = asked_by_window(w)
    regions = load(w.job.out/'photos', 'regions')
    main, all_of = main_kind(regions), regions.groupby('photo_id').kind.agg(set)
    index, damaged = w.retriever.index, w.retriever.canonical({'has_damage': True})
    rows = {}
    for p, vs, v in zip(photos.photo_id, windows, whole):
        for name, where in (('', None), (', damaged only', damaged)):
            found = index.search_many(vs, a.k, where)
            for way, kinds in ways(found, index.search(v, a.k, where), a.k).items():
                rows.setdefault(way + name, []).append(right(kinds, main[p], all_of[p]))
    majority = regions.kind.value_counts().index[0]
    rows['always the most frequent kind'] = [right([[majority]], main[p], all_of[p]) for p in photos.photo_id]
    print(f'{len(photos)} damaged test photos, {photos.group.nunique()} groups, {np.mean([len(x) for x in windows]):.1f} windows a photo, {a.k} hits a window')
    print(table({n: pd.DataFrame(r) for n, r in rows.items()}, main[photos.photo_id], photos.group, 'merged: max').to_string())

def right(kinds: list, main: str, every: set) -> dict:
    "first: the first hit with a kind shows the photo's main kind; mrr of that; any: it shows one of the photo's kinds."
    named = [k for k in kinds if k]
    at = next((i for i, k in enumerate(named) if main in k), None)
    return {'first': at == 0, 'mrr': 0 if at is None else 1/(at + 1), 'any': bool(named) and bool(every & set(named[0]))}

# --- probability

def probabilities(w: World, a):
    index = w.retriever.index
    learned = pairs(index)
    curve, base = calibrate(index, learned), learned.same.mean()
    asked = pd.concat([answers(index, v, r) for v, r in zip(w.vectors, w.crops.to_dict('records'))], ignore_index=True)
    said = {'calibrated': curve.probability(asked.cosine), 'the cosine itself': asked.cosine.clip(0, 1), 'always the mean': np.full(len(asked), base)}
    draws = draw_groups(asked.group, 300)
    print(f'learned from {len(learned)} pairs of the memory ({base:.3f} the same kind); {len(asked)} pairs of {w.crops.crop_id.nunique()} test crops, {asked.group.nunique()} groups ({asked.same.mean():.3f} the same)')
    print(pd.DataFrame({n: honest(np.asarray(p, float), asked, draws) for n, p in said.items()}).T.to_string())
    bins = asked.assign(said=said['calibrated']).groupby(pd.qcut(said['calibrated'], 10, duplicates='drop'), observed=True).agg(said=('said', 'mean'), came_true=('same', 'mean'), pairs=('same', 'size'))
    print(bins.round(3).to_string(index=False))
    print(pd.DataFrame([cut(asked.assign(said=said['calibrated']), p) for p in (0, .5, .6, .7, .8, .9)]).round(3).to_string(index=False))

def answers(index, v: np.ndarray, crop: dict) -> pd.DataFrame:
    f = index.search(v, 10)
    mine = set(crop['kinds'])
    return pd.DataFrame({'asked': crop['crop_id'], 'group': crop['group'], 'cosine': f.cosines, 'same': [bool(mine & set(k or [])) or not mine and not k for k in f.table(['kinds'])['kinds'].to_pylist()]})

def honest(p: np.ndarray, asked: pd.DataFrame, draws) -> dict:
    "Brier score and ECE with intervals."
    members = [np.flatnonzero(asked.group == g) for g in draws.groups]
    again = pd.DataFrame([honesty(p[i], asked.same.to_numpy()[i]) for c in draws.counts.astype(int) if (i := np.concatenate([m for m, n in zip(members, c) for _ in range(n)])).size])
    return {m: f'{v:.3f} ({again[m].quantile(.025):.3f}–{again[m].quantile(.975):.3f})' for m, v in honesty(p, asked.same).items()}

def cut(asked: pd.DataFrame, p: float) -> dict:
    kept = asked[asked.said >= p]
    return {'at least': p, 'hits kept': len(kept)/len(asked), 'the same kind': kept.same.mean(), 'questions with none left': 1 - kept.asked.nunique()/asked.asked.nunique()}

# --- diversity

def diversity(w: World, a):
    r = w.retriever
    searches = {'nearest': lambda q: r.search(q, 5), 'two a photo': lambda q: r.search(q, 5, limits=Limits(per_photo=2)), 'one a photo': lambda q: r.search(q, 5, limits=Limits(per_photo=1)),
                **{f'MMR {n}': (lambda n: lambda q: r.hits(diverse(r.found(q, 50), 5, n)))(n) for n in (.9, .7, .5)}, 'contrast 3 + 2': lambda q: contrast(r, q)}
    values = {n: pd.DataFrame([effect(search(q).table, k) for q, k in zip(w.vectors, w.crops.kind)]) for n, search in searches.items()}
    print(f'{len(w.crops)} test crops, {w.crops.group.nunique()} groups')
    print(table(values, w.crops.kind, w.crops.group, 'nearest').to_string())

def effect(t: pd.DataFrame, kind: str) -> dict:
    from mmrag_nb.hits import Hits
    named = [list(k) or ['clean'] for k in t.kinds]
    return {'photos in 5': t.photo_id.nunique(), 'cosine': t.cosine.mean(), 'vote right': (vote(Hits(t)).kind or 'clean') == kind, 'kind in 5': any(kind in k for k in named), 'both answers': t.has_damage.nunique() == 2}

# --- rerank

def reranking(w: World, a):
    crops, index = w.crops[w.crops.kind != 'clean'], w.retriever.index
    found = [index.search(v, 20, w.retriever.canonical({'has_damage': True})) for v in w.vectors[crops.index]]
    rows = np.unique(np.concatenate([f.rows for f in found]))
    stored = index.state.take(rows).to_pandas()
    encoder = w.retriever.encoder
    asked_masked, asked_plain, seen = cells(w, crops, True), cells(w, crops, False), dict(zip(rows, cells(w, stored, True)))
    kinds = dict(zip(rows, stored.kinds.map(list)))
    orders = {'nearest': lambda i, f: f.rows, 'cells, outline of the question known': lambda i, f: by_cells(asked_masked[i], f, seen), 'cells, outline not known': lambda i, f: by_cells(asked_plain[i], f, seen)}
    values = {n: pd.DataFrame([ranked([kinds[x] for x in order(i, f)], k) for i, (f, k) in enumerate(zip(found, crops.kind))]) for n, order in orders.items()}
    print(f'{len(crops)} damaged test crops, {crops.group.nunique()} groups; the twenty nearest damaged crops; {encoder.__class__.__name__}')
    print(table(values, crops.kind, crops.group, 'nearest').to_string())

def cells(w: World, crops: pd.DataFrame, masked: bool) -> list[Cells]:
    found, records = [], crops.to_dict('records')
    for i in range(0, len(records), 64):
        some = [(im := w.pictures.cut(r), filled(w.pictures.outlines(r), im.shape) if masked else None) for r in records[i:i + 64]]
        found += cells_of(w.retriever.encoder, [im for im, _ in some], [m for _, m in some])
    return found

def by_cells(asked: Cells, f, seen: dict) -> np.ndarray:
    return f.rows[np.argsort([-max_similarity(asked, seen[r]) for r in f.rows], kind='stable')]

def ranked(kinds: list, kind: str) -> dict:
    at = next((i for i, k in enumerate(kinds) if kind in k), None)
    return {'first': at == 0, 'mrr': 0 if at is None else 1/(at + 1)}

# --- overhead

def overhead(a, n=2500, d=1024, k=10, rounds=400):
    import faiss
    from mmrag_nb.domain import load_domain
    from mmrag_nb.index import vocabulary_of
    faiss.omp_set_num_threads(1)
    rng, domain = np.random.default_rng(0), load_domain('vehicles')
    v = rng.standard_normal((50, d))[rng.integers(0, 50, n)] + rng.standard_normal((n, d)); v = (v/np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)
    fields = pd.DataFrame({'crop_id': [f'{i:016x}' for i in range(n)], 'photo_id': [f'p{i//3}' for i in range(n)], 'zone': rng.choice(['hood_center', 'rear_bumper', 'driver_side_door'], n), 'kinds': [['dent'] if i % 2 else [] for i in range(n)], 'has_damage': np.arange(n) % 2 == 1})
    retriever, bare = Retriever(domain, in_memory(v, fields, Vocabulary(**vocabulary_of(domain)))), faiss.IndexFlatIP(d)
    bare.add(v)
    calls = {'bare FAISS': lambda q: bare.search(q[None], k), 'search': lambda q: retriever.search(q, k), 'search, zone=hood': lambda q: retriever.search(q, k, {'zone': 'hood'}), 'search, two a photo': lambda q: retriever.search(q, k, limits=Limits(per_photo=2)), 'search, table read': lambda q: retriever.search(q, k).table}
    times = {name: [] for name in calls}
    for q in v[rng.integers(0, n, rounds)] + .01:
        for name, call in calls.items():
            call(q)   # its own copy of the vectors back into the cache: 10 MB each
            t = time.perf_counter(); call(q); times[name].append((time.perf_counter() - t)*1e6)
    t = pd.DataFrame({name: {'median us': np.median(x), 'p90 us': np.percentile(x, 90), 'over the bare call, median us': np.median(np.subtract(x, times['bare FAISS']))} for name, x in times.items()}).T
    print(t.round(1).to_string())

PARTS = {'merge': merging, 'probability': probabilities, 'diversity': diversity, 'rerank': reranking}

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('parts', nargs='*', default=[*PARTS, 'overhead'], choices=[*PARTS, 'overhead'])
    p.add_argument('--domain', default='car_photos'); p.add_argument('--data', type=Path); p.add_argument('--out', type=Path, default=Path('outputs/retrieval'))
    p.add_argument('--encoders', default='embedded'); p.add_argument('-k', type=int, default=20, help='hits a window')
    a = p.parse_args()
    print(', '.join(f'{k} {v}' for k, v in versions().items()), platform.machine())
    for e in a.encoders.split(',') if set(a.parts) & set(PARTS) else ():
        w = World(a.domain, a.data, a.out, e)
        for part in a.parts:
            if part in PARTS: t = time.perf_counter(); print(f'\n== {part}, {Path(e).name} {w.retriever.index.encoder[:12]}'); PARTS[part](w, a); print(f'{time.perf_counter() - t:.0f} s')
    if 'overhead' in a.parts: print('\n== overhead'); overhead(a)

if __name__ == '__main__': main()
