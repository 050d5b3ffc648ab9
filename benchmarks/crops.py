"""Windows for damage, side by side: how many, what they cut, how much they show around it, how long it takes; and what the stage costs beside decoding.

    python benchmarks/crops.py layouts                                 # drawn layouts of four sorts
    python benchmarks/crops.py layouts --labels FOLDER --size 448      # real LabelMe files, photos not needed
    python benchmarks/crops.py speed                                   # planning alone, up to 300 regions in a photo
    python benchmarks/crops.py stage --photos 16                       # plan + cut beside simplejpeg alone on drawn 12 MP photos, one and two workers, peak memory

CPU times are process times, so that other work on the machine shows less; wall times need free cores (the load is printed)."""
from __future__ import annotations

import argparse, importlib.metadata, json, math, os, platform, resource, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
import simplejpeg

from mmrag_nb.core import load, run_stage, Made
from mmrag_nb.cover import Frame, candidates, greedy, grow
from mmrag_nb.crops import run_crops
from mmrag_nb.domain import Crops, load_domain
from mmrag_nb.pixels import cut
from mmrag_nb.strategies import plan_cover, plan_full, plan_merge, plan_one, room_around
from mmrag_nb.tiles import fits, pieces


# ---- layouts

def drawn_layouts(sort: str, n: int, seed: int):
    "Frame and outlines of n drawn photos of 12 MP: groups of small marks, mixed sizes, some of 700-1800 px, or hail."
    rng = np.random.default_rng(seed)
    for _ in range(n):
        count = int(rng.integers(40, 90)) if sort == 'hail' else int(rng.integers(8, 26))
        places = rng.uniform([400, 400], [3600, 2600], (8 if sort == 'hail' else 4, 2))
        at = places[rng.integers(len(places), size=count)] + rng.normal(0, 350 if sort == 'hail' else 160, (count, 2))
        side = rng.uniform(20, 60, count) if sort in ('groups', 'hail') else np.exp(rng.uniform(np.log(20), np.log(300), count))
        if sort == 'large': side[:2] = rng.uniform(700, 1800, 2)
        turn = np.linspace(0, 2*np.pi, 12, endpoint=False)
        r = side[:, None]/2*rng.uniform(.6, 1.1, (count, 12))
        flat, tilt = rng.uniform(.1 if sort == 'large' else .4, 1, (count, 1)), rng.uniform(0, np.pi, (count, 1))
        x, y = r*np.cos(turn), r*np.sin(turn)*flat
        ring = np.stack([x*np.cos(tilt) - y*np.sin(tilt), x*np.sin(tilt) + y*np.cos(tilt)], -1) + at[:, None]
        yield (4000, 3000), shapely.make_valid(shapely.polygons(ring.clip(0, [3999, 2999]).round()))

def real_layouts(folder: Path, drop=('9',)):
    "Frame and outlines of the photos whose LabelMe files lie in a folder."
    for f in sorted(folder.glob('*_labelDANO_modificado.json')):
        d = json.loads(f.read_text())
        rings = [s['points'] for s in d['shapes'] if str(s['label']) not in drop and len(s['points']) > 2]
        if rings: yield (d['imageWidth'], d['imageHeight']), shapely.make_valid(np.array([shapely.Polygon(r) for r in rings], object))


# ---- ways to place windows: outlines, context (n,), frame -> windows (k,4)

def _needs(outlines, context, frame):
    "Boxes to hold: regions with context, large ones in pieces."
    whole = fits(shapely.bounds(outlines), frame)
    cuts = [pieces(g, frame, .3) for g in outlines[~whole]]
    boxes = np.concatenate([shapely.bounds(outlines[whole]).reshape(-1, 4), *cuts])
    return grow(boxes, context, frame)

def _around(needs, frame):
    at = np.round((needs[:, :2] + needs[:, 2:] - frame.window)/2).astype(int).clip(0, frame.photo - frame.window)
    return np.hstack([at, at + frame.window])

def one_each(outlines, context, frame): return np.unique(_around(_needs(outlines, context, frame), frame), axis=0)

def first_fit(outlines, context, frame):
    "Boxes from left to right, each into the first group that still fits in a window."
    groups = []
    for b in sorted(_needs(outlines, context, frame).tolist()):
        for g in groups:
            joined = [min(g[0], b[0]), min(g[1], b[1]), max(g[2], b[2]), max(g[3], b[3])]
            if (np.subtract(joined[2:], joined[:2]) <= frame.window).all(): g[:] = joined; break
        else: groups.append(b)
    return _around(np.array(groups), frame)

def greedy_cover(outlines, context, frame):
    columns = candidates(_needs(outlines, context, frame), frame)
    at = np.array([columns[c] for c in greedy(columns)])
    return np.hstack([at, at + frame.window])

def _tiles(box, frame, overlap):
    "A regular grid over a box, inside the photo."
    axes = []
    for a, b, n, s in zip(box[:2], box[2:], frame.photo, frame.window):
        k = max(1, math.ceil((b - a - overlap*s)/(s*(1 - overlap))))
        start = max(0, min((a + b - s)/2, n - s)) if k == 1 else a
        axes.append(np.clip(np.round(start + np.arange(k)*s*(1 - overlap)), 0, n - s))
    at = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2).astype(int)
    return np.hstack([at, at + frame.window])

def _hit(windows, outlines): return windows[np.unique(shapely.STRtree(outlines).query(shapely.box(*windows.T), 'intersects')[0])]

def dbscan_tiles(outlines, context, frame, eps=100):
    "DBSCAN over centres; a cluster that fits gets a window, a larger one a grid of tiles where it shows something."
    from sklearn.cluster import DBSCAN
    boxes = shapely.bounds(outlines)
    label = DBSCAN(eps=eps, min_samples=1).fit_predict((boxes[:, :2] + boxes[:, 2:])/2)
    out = []
    for c in np.unique(label):
        b = boxes[label == c]
        out.append(_hit(_tiles(np.r_[b[:, :2].min(0) - context, b[:, 2:].max(0) + context], frame, .3), outlines[label == c]))
    return np.unique(np.concatenate(out), axis=0)

def sliced_grid(outlines, context, frame): return np.unique(_hit(_tiles(np.array([0, 0, *frame.photo]), frame, .25), outlines), axis=0)

def ours(tiles): return lambda outlines, context, frame: plan_cover(outlines, context, frame, Crops(size=frame.size, context=context, tiles=tiles)).windows
def preset(plan): return lambda outlines, context, frame: plan(outlines, context, frame, Crops(size=frame.size, context=context)).windows

WAYS = {'one window a region': one_each, 'DBSCAN + tiles': dbscan_tiles, 'first-fit merging': first_fit, 'greedy set cover': greedy_cover, 'sliced grid, kept where hit': sliced_grid,
        'preset: a box a region, any size': preset(plan_one), 'preset: merged boxes, any size': preset(plan_merge), 'preset: whole photo': preset(plan_full),
        'this stage, pieces': ours('pieces'), 'this stage, demand squares': ours('demand')}

def layouts_table(layouts, size, context):
    "One row a way."
    layouts, rows = list(layouts), []
    for name, way in WAYS.items():
        windows, cut_up, whole_n, room, ms, pixels = 0, 0, 0, [], [], 0
        for wh, outlines in layouts:
            frame, boxes = Frame(*wh, size), shapely.bounds(outlines)
            t = time.process_time(); w = way(outlines, context, frame); ms.append(1e3*(time.process_time() - t))
            some = room_around(w, boxes, frame).max(0)[fits(boxes, frame)]
            windows, whole_n, cut_up = windows + len(w), whole_n + len(some), cut_up + int((some < 0).sum())
            room += some[some >= 0].tolist(); pixels += int(((w[:, 2] - w[:, 0]).astype(np.int64)*(w[:, 3] - w[:, 1])).sum())
        rows.append({'way': name, 'windows': windows, 'cut': cut_up/max(1, whole_n), 'least context': min(room, default=np.nan), 'mean context': float(np.mean(room)) if room else np.nan,
                     'ms median': np.median(ms), 'ms max': max(ms), 'MB of pixels': 3*pixels/1e6})
    t = pd.DataFrame(rows).set_index('way')
    t.insert(1, '× pieces', t.windows/t.windows['this stage, pieces'])
    return t

def run_layouts(a):
    sets = {str(a.labels.name): real_layouts(a.labels)} if a.labels else {s: drawn_layouts(s, a.photos, a.seed) for s in ('groups', 'mixed', 'large', 'hail')}
    for name, layouts in sets.items():
        layouts = list(layouts)
        print(f'\n{name}: {len(layouts)} photos, {sum(len(o) for _, o in layouts)} outlines, {a.size} px, {a.context} px of context')
        print(layouts_table(layouts, a.size, a.context).to_string(float_format=lambda v: f'{v:.2f}'))


# ---- planning alone

def run_speed(a):
    rng, rows = np.random.default_rng(a.seed), []
    for n in (1, 10, 30, 100, 300):
        for _ in range(5):
            at, half = rng.uniform(100, 2900, (n, 2)), rng.uniform(10, 45, (n, 2))
            outlines = shapely.box(*np.hstack([at - half, at + half]).T)
            t = time.process_time(); p = plan_cover(outlines, 16, Frame(4000, 3000, a.size), Crops(size=a.size))
            rows.append((n, len(p.windows), p.proven, 1e3*(time.process_time() - t)))
    t = pd.DataFrame(rows, columns=['regions', 'windows', 'proven', 'ms'])
    print(t.groupby('regions').agg(windows=('windows', 'mean'), proven=('proven', 'all'), ms_median=('ms', 'median'), ms_max=('ms', 'max')).round(1).to_string())


# ---- the stage beside decoding

def prepared(home: Path, n: int, copies: int, seed: int):
    "Drawn 12 MP photos, half of them damaged, each under so many names, with their photos and split stages."
    from mmrag_nb.drawn import draw_dataset
    from mmrag_nb.formats import run_photos
    domain = load_domain('vehicles')
    data = draw_dataset(home/'data', n=n, size=(4000, 3000), seed=seed, workers=2)
    run_photos(domain, data, home/'out')
    photos, regions = load(home/'out/photos', 'photos'), load(home/'out/photos', 'regions')
    def again(t): return pd.concat([t, *(t.assign(photo_id=f'{i}_' + t.photo_id) for i in range(1, copies))])
    for p in photos.photo_id:
        for i in range(1, copies): os.link(data/p, data/f'{i}_{p}')
    run_stage(home/'out/photos', [], {'copies': copies}, lambda: Made({'photos': again(photos), 'regions': again(regions)}))
    ids = load(home/'out/photos', 'photos').photo_id
    run_stage(home/'out/split', [home/'out/photos'], {}, lambda: Made(tables={'split': pd.DataFrame({'photo_id': ids, 'side': 'train'})}))

def decode_alone(data, paths):
    "What the stage can't do without: read the file, decode it into a buffer that is used again."
    buffer, n = np.empty(4000*3000*3, np.uint8), 0
    for p in paths: n += simplejpeg.decode_jpeg((data/p).read_bytes(), 'RGB', buffer=buffer).shape[0]
    return n

def decode_in_two(data, paths):
    "The same in two threads: what the machine has to give just now."
    with ThreadPoolExecutor(2) as pool: return sum(pool.map(lambda half: decode_alone(data, half), (paths[::2], paths[1::2])))

def whole_stage(data, out, workers):
    "Plan all photos and cut all crops, no files."
    run_crops(load_domain('vehicles'), out, workers)
    crops, photos = load(out/'crops', 'crops'), load(out/'photos', 'photos')
    return sum(len(found) for _, found in cut(crops, photos, data, workers) if isinstance(found, list))

def peak_mb():
    "Most memory this process has held. (`ru_maxrss` would be the parent's, where a process begins as its copy.)"
    status = Path('/proc/self/status')
    if status.exists(): return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith('VmHWM'))/1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024

WAYS = ('decode', 'stage', 'stage, 2 workers', 'decode, 2 threads')

def measure(what: str, home: Path, rounds: int):
    "In a process of its own: seconds of each way, turn about, so that a busy minute of the machine meets them all; of one way alone also its peak memory."
    data, out = home/'data', home/'out'
    paths = load(out/'photos', 'photos').photo_id.tolist()
    run = {'decode': lambda: decode_alone(data, paths), 'decode, 2 threads': lambda: decode_in_two(data, paths), 'stage': lambda: whole_stage(data, out, 0), 'stage, 2 workers': lambda: whole_stage(data, out, 2)}
    rows = []
    for turn in range(rounds + 1):
        for way in WAYS if what == 'all' else (what,):
            (out/'crops/manifest.json').unlink(missing_ok=True)
            w, c = time.perf_counter(), time.process_time()
            n = run[way]()
            if turn: rows.append({'way': way, 'turn': turn, 'n': n, 'cpu': time.process_time() - c, 'wall': time.perf_counter() - w})
    print(json.dumps({'photos': len(paths), 'rows': rows, 'peak MB': peak_mb()}))

def run_stage_beside(a):
    with tempfile.TemporaryDirectory() as d:
        home = Path(d) if a.home is None else a.home
        if not (home/'out/split/manifest.json').exists(): prepared(home, a.photos, a.copies, a.seed)
        def measured(what, rounds): return json.loads(subprocess.run([sys.executable, __file__, 'measure', what, str(home), str(rounds)], capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        all_, peaks = measured('all', a.rounds), {way: measured(way, 1)['peak MB'] for way in (WAYS if a.peaks else ())}
        t = pd.DataFrame(all_['rows'])
        sizes = [f.stat().st_size for f in (home/'data').rglob('*.jpg')]
        print(f'\n{all_["photos"]} photos of {np.mean(sizes)/1e6:.1f} MB, {t.n[t.way == "stage"].iloc[0]} crops; {a.rounds} rounds, each way in turn; load {os.getloadavg()[0]:.1f}')
        shown = t.groupby('way')[['cpu', 'wall']].median().loc[list(WAYS)]*1e3/all_['photos']
        print(shown.set_axis(['CPU ms a photo', 'wall ms a photo'], axis=1).assign(**{'peak MB': pd.Series(peaks)}).round(1).to_string())
        cpu, wall = t.pivot(index='turn', columns='way', values='cpu'), t.pivot(index='turn', columns='way', values='wall')
        def said(r): return f'{r.median():.2f} ({r.min():.2f}-{r.max():.2f})'
        print(f'median (range) over rounds. stage / decode: CPU {said(cpu["stage"]/cpu["decode"])}, wall {said(wall["stage"]/wall["decode"])}; '
              f'two workers: {said(wall["stage"]/wall["stage, 2 workers"])} x one; decoding alone, two threads: {said(wall["decode"]/wall["decode, 2 threads"])} x one')


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('what', nargs='?', default='all', choices=['all', 'layouts', 'speed', 'stage', 'measure'])
    ap.add_argument('rest', nargs='*', help=argparse.SUPPRESS)
    ap.add_argument('--labels', type=Path, help='folder of LabelMe files instead of drawn layouts')
    ap.add_argument('--size', type=int, default=336); ap.add_argument('--context', type=float, default=16); ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('--photos', type=int, default=16, help='how many to draw'); ap.add_argument('--copies', type=int, default=1, help='hard links of each, the photo itself included'); ap.add_argument('--rounds', type=int, default=7); ap.add_argument('--peaks', action=argparse.BooleanOptionalAction, default=True, help='memory too: every way twice more'); ap.add_argument('--home', type=Path, help='keep the drawn 12 MP photos here')
    a = ap.parse_args()
    if a.what == 'measure': return measure(a.rest[0], Path(a.rest[1]), int(a.rest[2]))
    print(f'Python {platform.python_version()}, ' + ', '.join(f'{m} {importlib.metadata.version(m)}' for m in ('numpy', 'scipy', 'shapely', 'simplejpeg')) + f'; seed {a.seed}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores')
    for name, run in {'layouts': run_layouts, 'speed': run_speed, 'stage': run_stage_beside}.items():
        if a.what in ('all', name): run(a)

if __name__ == '__main__': main()
