"""What of an encoder's settings pays on real photos: which window, which pooling, words in the memory, patches. One table an encoder, macro figures with intervals.

    python benchmarks/pooling.py --data ../shared/data/car_damage --encoders embedded ../shared/weights/mobilenet_v2
    … --into nbs/07j_embedding_quality.ipynb                    # and put the tables into the notebook
    python benchmarks/pooling.py --data DIR --most 40 --encoders histogram     # a look in seconds

Every outline of a photo that none of the encoders was trained on (`trained_on.json` beside its weights) is a question once, and is answered by the outlines of all other photos: is the
first hit of its kind? Intervals: photos drawn with replacement."""
import argparse, hashlib, importlib.metadata, json, platform, time
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from PIL import Image

from mmrag_nb.domain import Embedding
from mmrag_nb.embed import find_checkpoint, open_encoder
from mmrag_nb.embed_run import crop_mask
from mmrag_nb.encoder import unit
from mmrag_nb.fusion import Patches, patch_boxes, weighted
from mmrag_nb.metrics import Answered, Task, by_frequency, difference, draw_groups, measure, rank, summarise

WINDOWS = {'1.5 x': lambda length: max(112, 1.5*length), '3 x': lambda length: max(112, 3*length), 'native 336': lambda length: 336}

def outlines(data: Path, most: int) -> pd.DataFrame:
    "One row an outline of a COCO file: photo, kind, severity, shape."
    labels = json.loads((data/'instances.json').read_text())
    files = {i['id']: i['file_name'] for i in labels['images']}
    names = {c['id']: c['name'].split('-') for c in labels['categories']}
    rows = []
    for a in labels['annotations']:
        shape = shapely.make_valid(shapely.MultiPolygon([shapely.Polygon(np.reshape(s, (-1, 2))).buffer(0) for s in a['segmentation'] if len(s) > 5]))
        if not shape.is_empty: rows.append((files[a['image_id']], names[a['category_id']][-1], names[a['category_id']][0], shape))
    t = pd.DataFrame(rows, columns=['photo', 'kind', 'severity', 'shape'])
    return t[t.photo.isin(sorted(t.photo.unique())[::max(1, t.photo.nunique()//most)])].reset_index(drop=True) if most else t

def new_to(encoders: list, photos, data: Path) -> set:
    "The photos that no encoder names as its training."
    said = [find_checkpoint(e)/'trained_on.json' for e in encoders if e != 'histogram']
    known = {k for f in said if f.is_file() for k in json.loads(f.read_text())['photos']}
    return {p for p in photos if hashlib.sha256((data/'images'/p).read_bytes()).hexdigest()[:16] not in known}

def crops(t: pd.DataFrame, data: Path, side_of):
    "Square windows around the outlines, and their masks."
    images, masks = [], []
    for photo, shapes in t.groupby('photo', sort=False)['shape']:
        im = np.asarray(Image.open(data/'images'/photo).convert('RGB'))
        for shape in shapes:
            x0, y0, x1, y1 = shape.bounds
            side = int(min(side_of(max(x1 - x0, y1 - y0)), *im.shape[:2]))
            x, y = (int(np.clip((lo + hi - side)/2, 0, n - side)) for lo, hi, n in ((x0, x1, im.shape[1]), (y0, y1, im.shape[0])))
            images.append(im[y:y + side, x:x + side]); masks.append(crop_mask((x, y, x + side, y + side), [shape]))
    return images, masks

def variants(source: str, t: pd.DataFrame, data: Path):
    "What is stored and what is asked with: (window, stored, asked, asked vectors, stored vectors)."
    plain, words = open_encoder(source), None
    region = open_encoder(source, Embedding(pooling='region')) if source != 'histogram' else None
    if plain.has_text: words = plain.text([f'{s} {k} on a car' for s, k in zip(t.severity, t.kind)])
    for window, side_of in WINDOWS.items():
        images, masks = crops(t, data, side_of)
        whole = plain.image(images)
        yield window, 'whole', 'whole', whole, whole
        if window == '3 x' and region is not None:
            many = Patches(plain).image(images)
            yield window, f'multi-patch ({np.mean([len(patch_boxes(*im.shape[:2])) > 0 for im in images]):.0%} of the crops have patches)', 'the same', many, many
        if region is None: continue
        under = region.image(images, masks)
        half = unit(.5*whole + .5*under)
        yield window, 'region', 'region, outline given', under, under
        yield window, 'half region, half whole', 'the same, outline given', half, half
        yield window, 'region', 'whole, no outline', whole, under
        if words is None or window != 'native 336': continue
        for alpha in (.8, .5): yield window, f'{alpha} whole + {1 - alpha:.1f} words', 'whole, no words', whole, weighted(whole, words, alpha)
        yield window, 'words alone', 'whole, no words', whole, words

def table(source: str, t: pd.DataFrame, data: Path) -> pd.DataFrame:
    "A row a variant."
    task = Task(t.kind.to_numpy(object), t.photo.to_numpy(object), np.flatnonzero(t.asked), np.arange(len(t)))
    draws, rows, base = draw_groups(task.group[task.asked]), [], {}
    def answered(system): return Answered(measure(task, rank(task, system, 10)), task.truth[task.asked], task.group[task.asked])
    for window, stored, asked, q, m in variants(source, t, data):
        got = answered(lambda task, part: q[task.asked[part]] @ m[task.memory].T)
        base.setdefault(window, got)
        rows.append([window, stored, asked, *figures(got, draws)] + (['', ''] if got is base[window] else gain(got, base[window], draws)))
    rows.append(['any', 'most frequent kind first', '-', *figures(answered(by_frequency), draws), '', ''])
    return pd.DataFrame(rows, columns=['window', 'stored', 'asked with', 'R@1 macro', 'MRR macro', 'R@1 micro', 'against whole', 'so'])

def figures(got: Answered, draws) -> list[str]:
    s = summarise(got.values, got.kinds, got.group, draws)
    s = s[s.by == 'all'].set_index(['average', 'measure'])
    return [f'{r.value:.3f} ({r.low:.3f}-{r.high:.3f})' for r in (s.loc['macro', 'recall@1'], s.loc['macro', 'mrr'], s.loc['micro', 'recall@1'])]

def gain(got, base, draws) -> list[str]:
    d = difference(got, base, draws)
    return [f'{d["value"]:+.3f} ({d["low"]:+.3f} to {d["high"]:+.3f})', d['words']]

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--data', type=Path, required=True, help='folder with images/ and instances.json (COCO)')
    ap.add_argument('--encoders', nargs='+', default=['embedded']); ap.add_argument('--most', type=int, default=0, help='photos; 0: all'); ap.add_argument('--into', type=Path, help='notebook that shows the tables')
    a = ap.parse_args()
    t, parts = outlines(a.data, a.most), []
    t['asked'] = t.photo.isin(new_to(a.encoders, t.photo.unique(), a.data))
    asked = t[t.asked]
    counts = ', '.join(f'{k} {n}' for k, n in asked.kind.value_counts().items())
    about = f'{asked.photo.nunique()} photos ask with {len(asked)} outlines ({counts}), {t.photo.nunique()} photos with {len(t)} answer'
    print(f'Python {platform.python_version()}, torch {importlib.metadata.version("torch")}, transformers {importlib.metadata.version("transformers")}; {about}')
    for source in a.encoders:
        start, e = time.perf_counter(), open_encoder(source)
        made = table(source, t, a.data)
        parts.append(f'**{Path(source).name}** ({e.dim}-d, {e.dtype}, fingerprint {e.fingerprint[:8]}); {about}; {time.perf_counter() - start:.0f} s\n\n' + markdown(made))
        print('\n' + parts[-1], flush=True)
    if a.into: show_in(a.into, '\n\n'.join(parts))

MARK = '<!-- written by benchmarks/pooling.py -->'

def show_in(path: Path, text: str):
    "Put the tables into the notebook's cell that is meant for them."
    nb = json.loads(path.read_text(encoding='utf-8'))
    cell = next(c for c in nb['cells'] if ''.join(c['source']).startswith(MARK))
    cell['source'] = f'{MARK}\n{text}'.splitlines(True)
    path.write_text(json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + '\n', encoding='utf-8')

def markdown(t: pd.DataFrame) -> str:
    lines = [list(t), ['---']*t.shape[1], *t.astype(str).to_numpy().tolist()]
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in lines)

if __name__ == '__main__': main()
