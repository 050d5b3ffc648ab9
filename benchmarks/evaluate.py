"""The figures of the evaluation on real photos, and how long an evaluation takes.

    python benchmarks/evaluate.py grid car_photos --data SHARED/data --out outputs/grid --encoders histogram,SHARED/weights/mobilenet_v2,embedded
    python benchmarks/evaluate.py grid steel --data SHARED/data/steel --out outputs/grid_steel --encoders histogram,embedded --cuts ours --by-kind
    python benchmarks/evaluate.py speed --crops 2500 --draws 1000

grid: encoders × ways of cutting × pooling; each builds its own crops, vectors and report (OUT/presets/NAME/evaluate/report.html). Questions ask from pixels
alone; with pooling `region` a second row tells what knowing the outline would give. "size alone" is the AUROC of a predictor that sees nothing but the area of
a window: where it is near 1, the way of cutting (or two sources of photos) gives damaged from clean away, and the AUROC beside it says nothing about looking.
--limit 60 tries it on few photos.
A second call with the same --out makes only what changed: after new weights of one encoder, `--encoders embedded` builds just its rows (vectors, index, evaluation).
speed: ranking, trec_eval's measures, vote, baselines and bootstrap on drawn vectors; a fifth asks the rest, or a table asks itself.
"""
import argparse, itertools, platform, time
from pathlib import Path

import numpy as np
import pandas as pd

from mmrag_nb.core import load, manifest, versions
from mmrag_nb.domain import load_domain
from mmrag_nb.evaluate import evaluate, question_table
from mmrag_nb.pipeline import override
from mmrag_nb.presets import lay_over, paired, run_presets

CUTS = {'ours': {'strategy': 'cover'}, 'one': {'strategy': 'one'}, 'photo': {'strategy': 'full'}}   # fewest windows, one a defect, the whole photo
POOLINGS = {'whole': 'auto', 'region': 'region'}
FIGURES = {('macro', 'recall@1'): 'macro R@1', ('macro', 'recall@5'): 'macro R@5', ('macro', 'mrr'): 'macro MRR', ('macro', 'vote_f1'): 'vote macro F1', ('micro', 'auroc'): 'AUROC'}

def grid(a):
    domain = override(load_domain(a.domain), (f'split.limit={a.limit}',) if a.limit else ())
    wanted = [c for c in itertools.product(a.encoders.split(','), a.cuts.split(','), a.poolings.split(',')) if not (c[0] == 'histogram' and c[2] == 'region')]
    domains = {f'{Path(e).name}-{c}-{p}': lay_over(domain, {'encoder': e, 'crops': CUTS[c], 'embedding': {'pooling': POOLINGS[p]}}) for e, c, p in wanted}
    out = run_presets(domains, a.data, a.out, a.workers)
    folders = {n: out/n for n in domains}
    print(f'{a.domain}{f", {a.limit} photos" if a.limit else ""}; seed {domain.split.seed}; 95 % intervals over groups of photos; histogram has no region pooling')
    print(pd.DataFrame([row for n, f in folders.items() for row in rows_of(n, f)]).to_string(index=False))
    if len(folders) > 1: print(differences(folders).to_string(index=False))
    if a.by_kind: print(by_kind(folders).to_string())

def rows_of(name: str, folder: Path) -> list[dict]:
    "A run's figures, those with the outline given, and what never looking gives."
    m, counts = load(folder/'evaluate', 'metrics').query('by == "all"'), manifest(folder/'evaluate')['counts']
    systems = {'ours': name, 'outline given': f'{name}, outline given', 'majority': '  majority', 'by lot': '  by lot'}
    return [{'run': label, 'asked': counts['questions'], 'memory': counts['memory']} | figures(m[m.system == s]) | {'size alone': by_size(folder) if s == 'ours' else ''} for s, label in systems.items() if (m.system == s).any()]

def figures(m: pd.DataFrame) -> dict:
    at = m.set_index(['average', 'measure'])
    return {label: said(at.loc[k]) if k in at.index else '–' for k, label in FIGURES.items()}

def by_size(folder: Path) -> str:
    "AUROC of the window's area alone, on the test side; whichever way round it is better."
    from sklearn.metrics import roc_auc_score
    t = load(folder/'crops', 'crops').query('side == "test"').dropna(subset='has_damage')
    y, area = t.has_damage.astype(bool), (t.x1 - t.x0)*(t.y1 - t.y0)
    return f'{max(s := roc_auc_score(y, area), 1 - s):.3f}' if 0 < y.sum() < len(y) else '–'

def said(r) -> str: return f'{r.value:.3f} ({r.low:.3f}–{r.high:.3f})'

def differences(folders: dict) -> pd.DataFrame:
    d = paired(folders)
    d = d[(d.average == 'macro') & d.measure.isin(['recall@1', 'mrr'])]
    return d.assign(difference=[f'{v:+.3f} ({l:+.3f} to {h:+.3f})' for v, l, h in zip(d.value, d.low, d.high)])[['preset', 'against', 'measure', 'difference', 'words', 'photos']]

def by_kind(folders: dict) -> pd.DataFrame:
    "Recall@1 of each kind, with its interval."
    tables = {n: load(f/'evaluate', 'metrics').query('by == "kind" and measure == "recall@1" and system == "ours"').set_index('of') for n, f in folders.items()}
    return pd.DataFrame({n: [said(r) for r in t.itertuples()] for n, t in tables.items()}, index=next(iter(tables.values())).index.rename('kind')) if len({tuple(t.index) for t in tables.values()}) == 1 else pd.concat({n: t.value.round(3) for n, t in tables.items()}, axis=1)

def drawn(n: int, dim: int, kinds: int, seed: int) -> tuple[np.ndarray, pd.DataFrame]:
    "Crops in bunches of four a photo; kinds as uneven as real ones."
    r = np.random.default_rng(seed)
    share = 1 / np.arange(1, kinds + 1); centres = r.normal(size=(kinds, dim))
    kind = r.choice(kinds, n, p=share/share.sum())
    table = pd.DataFrame({'photo_id': [f'p{i//4:05d}' for i in range(n)], 'kind': [f'kind{k}' for k in kind], 'zone': r.choice([f'zone{i}' for i in range(10)], n)})
    return (centres[kind] + 4*r.normal(size=(n, dim))).astype(np.float32), table

def speed(a):
    vectors, table = drawn(a.crops, a.dim, a.kinds, a.seed)
    split = table.assign(side=np.where(np.arange(a.crops)//4 % 5 == 0, 'test', 'train'))
    rows = []
    for name, t in (('a fifth asks the rest', split), ('all ask all', table)):
        t0, c0 = time.perf_counter(), time.process_time(); ev = evaluate(vectors, t, {'histogram': vectors[:, :64]}, a.draws, a.seed); question_table(ev)
        rows.append({'shape': name, 'asked': len(ev.task.asked), 'memory': len(ev.task.memory), 'systems': ev.metrics.system.nunique(), 'figures': len(ev.metrics), 'seconds': round(time.perf_counter() - t0, 2), 'CPU seconds': round(time.process_time() - c0, 2)})
    print(pd.DataFrame(rows).to_string(index=False))

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = ap.add_subparsers(required=True)
    g = verbs.add_parser('grid', help='figures on real photos'); g.set_defaults(do=grid)
    g.add_argument('domain'); g.add_argument('--data', type=Path, required=True); g.add_argument('--out', type=Path, required=True); g.add_argument('--encoders', default='histogram')
    g.add_argument('--cuts', default=','.join(CUTS)); g.add_argument('--poolings', default=','.join(POOLINGS)); g.add_argument('--limit', type=int); g.add_argument('--by-kind', action='store_true'); g.add_argument('--workers', type=int, default=0)
    s = verbs.add_parser('speed', help='seconds on drawn vectors'); s.set_defaults(do=speed)
    for name, value in (('crops', 2500), ('dim', 1024), ('kinds', 9), ('draws', 1000), ('seed', 0)): s.add_argument(f'--{name}', type=int, default=value)
    a = ap.parse_args()
    print(f'{platform.processor() or platform.machine()}, python {platform.python_version()}, ' + ', '.join(f'{k} {v}' for k, v in versions().items()))
    a.do(a)

if __name__ == '__main__': main()
