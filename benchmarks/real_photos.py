"""Encoders × pooling × ways of cutting, on real photos, asked about the same test photos.

Builds every combination with its own crops, vectors and report, and writes them side by side (OUT/presets/report.html).
    python benchmarks/real_photos.py car_photos --data SHARED/data --out outputs/real_photos --encoders histogram,SHARED/weights/mobilenet_v2,embedded
"""
import argparse, itertools, platform
from pathlib import Path

from mmrag_nb.core import load, versions
from mmrag_nb.domain import load_domain
from mmrag_nb.presets import lay_over, run_presets, side_by_side

CUTS = {'ours': {'strategy': 'cover'}, 'one a defect': {'strategy': 'one'}, 'whole photo': {'strategy': 'full'}}
POOLINGS = {'whole': 'auto', 'region': 'region'}

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('domain'); ap.add_argument('--data', type=Path, required=True); ap.add_argument('--out', type=Path, required=True)
    ap.add_argument('--encoders', default='histogram'); ap.add_argument('--cuts', default=','.join(CUTS)); ap.add_argument('--poolings', default=','.join(POOLINGS)); ap.add_argument('--workers', type=int, default=0)
    a = ap.parse_args()
    print(f'python {platform.python_version()}, ' + ', '.join(f'{k} {v}' for k, v in versions().items()) + f', domain {a.domain}, seed {load_domain(a.domain).split.seed}')
    wanted = [c for c in itertools.product(a.encoders.split(','), a.cuts.split(','), a.poolings.split(',')) if not (c[0] == 'histogram' and c[2] == 'region')]
    domains = {f'{Path(e).name}, {c}, {p}': lay_over(load_domain(a.domain), {'encoder': e, 'crops': CUTS[c], 'embedding': {'pooling': POOLINGS[p]}}) for e, c, p in wanted}
    out = run_presets(domains, a.data, a.out, a.workers)
    t = side_by_side({n: out/n for n in domains})
    t['figure'] = t.value.map('{:.3f}'.format) + ' (' + t.low.map('{:.2f}'.format) + '–' + t.high.map('{:.2f}'.format) + ')'
    print(t.assign(column=t.average + ' ' + t.measure).pivot(index=['preset', 'asked', 'memory'], columns='column', values='figure').to_string())
    d = load_differences(out)
    print(d[(d.average == 'macro') & (d.measure == 'recall@1')][['preset', 'against', 'value', 'low', 'high', 'words']].round(3).to_string(index=False))

def load_differences(out: Path):
    import pandas as pd
    return pd.read_parquet(out/'differences.parquet')

if __name__ == '__main__': main()
