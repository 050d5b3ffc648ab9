"""How many planted copies the search for near-duplicates joins, how many unrelated photos, and how long it takes.

Into each of N photos four leaks are planted (mirrored, cut to 90 % of both sides, JPEG quality 40, half size), and all of them at once.
Every pair of different photos counts as unrelated. --crowd hides the copies among many drawn photos of the same ten views.
    python benchmarks/duplicates.py --photos 200 --real ../shared/data/car_damage/images --crowd 2711
"""
import argparse, tempfile, time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import simplejpeg

from mmrag_nb.core import versions
from mmrag_nb.drawn import draw_dataset
from mmrag_nb.regions import Bad
from mmrag_nb.duplicates import candidates, describe, near_duplicates, thumbnail

def saved(im, quality=90): return simplejpeg.encode_jpeg(np.ascontiguousarray(im), quality, 'RGB', '420')
def half(im): return cv2.resize(np.ascontiguousarray(im), None, fx=.5, fy=.5, interpolation=cv2.INTER_AREA)
def cut(im, rng, share=.9):
    h, w = (round(n*share) for n in im.shape[:2]); y, x = rng.integers(im.shape[0] - h + 1), rng.integers(im.shape[1] - w + 1)
    return im[y:y + h, x:x + w]

LEAKS = {'mirrored': lambda im, rng: saved(im[:, ::-1]), 'cut to 90 %': lambda im, rng: saved(cut(im, rng)), 'quality 40': lambda im, rng: saved(im, 40), 'half size': lambda im, rng: saved(half(im), 85),
         'all four': lambda im, rng: saved(half(cut(im[:, ::-1], rng)), 40), '(cut to 95 %)': lambda im, rng: saved(cut(im, rng, .95)), '(cut to 80 %)': lambda im, rng: saved(cut(im, rng, .8))}

def readable(folder: Path, n: int, seed: int) -> list[Path]:
    "n photos of a folder that can be decoded."
    found = []
    for i in np.random.default_rng(seed).permutation(len(paths := sorted(folder.glob('*.jpg')))):
        try: thumbnail(paths[i])
        except Bad: continue
        if len(found := [*found, paths[i]]) == n: break
    return found

def look(im, leak, rng) -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix='.jpg') as f: f.write(leak(im, rng)); f.flush(); return thumbnail(f.name)

def measure(name: str, photos: list[Path], crowd: np.ndarray, seed: int, leaks=LEAKS) -> list[dict]:
    "A row per leak: the share of copies joined to their original, and of unrelated pairs joined."
    rows, n, m = [], len(photos), len(crowd)
    pixels, thumbs = [simplejpeg.decode_jpeg(p.read_bytes()) for p in photos], np.stack([thumbnail(p) for p in photos])
    for leak, make in ((k, LEAKS[k]) for k in leaks):
        rng = np.random.default_rng(seed)
        t = near_duplicates(np.concatenate([thumbs, [look(im, make, rng) for im in pixels], crowd]))
        same, pairs = t.j - t.i == n, (2*n + m)*(2*n + m - 1)//2 - n
        rows.append({'photos': name, 'leak': leak, 'joined': (same & (t.i < n) & (t.j < 2*n)).sum()/n, 'unrelated joined': len(t) - (same & (t.i < n) & (t.j < 2*n)).sum(), 'of pairs': pairs})
    return rows

def clock(thumbs: np.ndarray) -> dict:
    "CPU seconds of the two steps."
    a = time.process_time(); found = candidates(describe(thumbs)); b = time.process_time(); t = near_duplicates(thumbs); c = time.process_time()
    return {'photos': len(thumbs), 'candidates': len(found), 'coarse CPU s': b - a, 'both CPU s': c - b, 'pairs': len(t)}

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--photos', type=int, default=200); ap.add_argument('--real', type=Path); ap.add_argument('--crowd', type=int, default=0)
    ap.add_argument('--workers', type=int, default=2); ap.add_argument('--seed', type=int, default=0)
    a = ap.parse_args()
    print(versions(), 'seed', a.seed)
    pd.set_option('display.width', 200)
    with tempfile.TemporaryDirectory() as f:
        drawn = readable(draw_dataset(Path(f)/'some', a.photos + 4, (1000, 750), a.seed, a.workers), a.photos, a.seed)
        none = np.empty((0, 128, 128), np.uint8)
        rows = measure('drawn', drawn, none, a.seed) + (measure('real', readable(a.real, a.photos, a.seed), none, a.seed) if a.real else [])
        if a.crowd:
            many = readable(draw_dataset(Path(f)/'many', a.crowd, (640, 480), a.seed + 1, a.workers), a.crowd, a.seed)
            crowd = np.stack([thumbnail(p) for p in many])
            print(pd.DataFrame([clock(crowd)]).round(2).to_string(index=False))
            rows += measure(f'drawn among {len(crowd)}', drawn, crowd, a.seed, ('cut to 90 %',))
    print(pd.DataFrame(rows).round(4).to_string(index=False))

if __name__ == '__main__': main()
