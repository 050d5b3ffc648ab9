"""How long the evaluation of many crops takes: ranking, trec_eval's measures, vote, baselines and bootstrap, on drawn vectors.

Two shapes: a split (a fifth asks the rest) and a table that asks itself, photo by photo left out (the dearest case).
    python benchmarks/evaluate.py --crops 2500 --draws 1000
"""
import argparse, platform, time

import numpy as np
import pandas as pd

from mmrag_nb.core import versions
from mmrag_nb.evaluate import evaluate, question_table

def drawn(n: int, dim: int, kinds: int, seed: int) -> tuple[np.ndarray, pd.DataFrame]:
    "Crops in bunches of four a photo; kinds as uneven as real ones."
    r = np.random.default_rng(seed)
    share = 1 / np.arange(1, kinds + 1); centres = r.normal(size=(kinds, dim))
    kind = r.choice(kinds, n, p=share/share.sum())
    table = pd.DataFrame({'photo_id': [f'p{i//4:05d}' for i in range(n)], 'kind': [f'kind{k}' for k in kind], 'zone': r.choice([f'zone{i}' for i in range(10)], n)})
    return (centres[kind] + 4*r.normal(size=(n, dim))).astype(np.float32), table

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (('crops', 2500), ('dim', 1024), ('kinds', 9), ('draws', 1000), ('seed', 0)): ap.add_argument(f'--{name}', type=int, default=value)
    a = ap.parse_args()
    print(f'{platform.processor() or platform.machine()}, python {platform.python_version()}, ' + ', '.join(f'{k} {v}' for k, v in versions().items() if k in ('numpy', 'pandas', 'scipy')), f'seed {a.seed}')
    vectors, table = drawn(a.crops, a.dim, a.kinds, a.seed)
    split = table.assign(side=np.where(np.arange(a.crops)//4 % 5 == 0, 'test', 'train'))
    rows = []
    for name, t in (('a fifth asks the rest', split), ('all ask all', table)):
        t0, c0 = time.perf_counter(), time.process_time(); ev = evaluate(vectors, t, {'histogram': vectors[:, :64]}, a.draws, a.seed); question_table(ev)
        rows.append({'shape': name, 'asked': len(ev.task.asked), 'memory': len(ev.task.memory), 'systems': ev.metrics.system.nunique(), 'figures': len(ev.metrics), 'seconds': round(time.perf_counter() - t0, 2), 'CPU seconds': round(time.process_time() - c0, 2)})
    print(pd.DataFrame(rows).to_string(index=False))

if __name__ == '__main__': main()
