"""An index folder at size: seconds to open, memory while searching, seconds to add 1,000 crops durably, and what Retriever.search costs over the bare FAISS call.

    python benchmarks/index_folder.py --size 300000x256 --kind flat
"""
import argparse, resource, subprocess, sys, tempfile, time
from pathlib import Path

import faiss
import numpy as np
import pandas as pd

from mmrag_nb.codes import help_for
from mmrag_nb.core import Made, run_stage, versions
from mmrag_nb.domain import load_domain
from mmrag_nb.index import in_memory, open_index, vocabulary_of
from mmrag_nb.measure import reach_of
from mmrag_nb.retrieve import Retriever
from mmrag_nb.store import seal
from mmrag_nb.where import Vocabulary

sys.path.insert(0, str(Path(__file__).parent))
from search import cached_graph, clustered

MEMORY = '''
import sys, numpy as np, psutil
from mmrag_nb.index import open_index
p = psutil.Process(); empty = p.memory_info().rss
index = open_index(sys.argv[1]); n = index.dim
for q in np.random.default_rng(0).standard_normal((200, n)).astype('f4'): index.search(q, 10); index.search(q, 10, {'zone': 'hood_center'})
print((p.memory_info().rss - empty) / index.state.parts[0].vectors.nbytes)
'''

def table_of(n: int, prefix: str = '') -> pd.DataFrame:
    zones = np.array(['hood_center', 'rear_bumper', 'driver_side_door'])
    return pd.DataFrame({'crop_id': [f'{prefix}{i:016x}' for i in range(n)], 'photo_id': [f'{prefix}p{i // 4}.jpg' for i in range(n)], 'zone': zones[np.arange(n) % 3], 'kinds': [['dent']] * n, 'has_damage': True})

def build(folder: Path, v: np.ndarray, kind: str, size: str, args) -> Path:
    spec = {'kind': kind, 'm': 32, 'ef_construction': 200, 'ef_search': 64}
    help, raw, far = ('graph', raw := cached_graph(size, v, args)[0], reach_of(raw, v)) if kind == 'hnsw' else help_for(v, spec)
    made = Made({'fields': table_of(len(v))}, {'vectors': v} | ({help: raw} if help else {}), counts={'rows': len(v), 'far': far})
    run_stage(folder, [], {'encoder': 'bench', 'index': spec, **vocabulary_of(load_domain('vehicles'))}, lambda: made); seal(folder)
    return folder

def seconds(call) -> float:
    t = time.perf_counter(); call()
    return time.perf_counter() - t

def cpu(call, times: int = 500) -> float:
    for _ in range(20): call()
    t = time.process_time()
    for _ in range(times): call()
    return (time.process_time() - t) / times * 1e6

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--size', default='300000x256'); ap.add_argument('--kind', default='flat', choices=['flat', 'hnsw']); ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('--workers', type=int, default=0); ap.add_argument('--cache', type=Path, default=Path(tempfile.gettempdir())/'mmrag-bench'); args = ap.parse_args()
    faiss.omp_set_num_threads(1); print(versions(), args.size, args.kind, 'seed', args.seed)
    n, d = map(int, args.size.split('x'))
    v = clustered(n, d, args.seed)
    with tempfile.TemporaryDirectory() as tmp:
        folder, rows = build(Path(tmp)/'index', v, args.kind, args.size, args), {}
        t = [seconds(lambda: open_index(folder)) for _ in range(5)]
        rows['open, every hash checked: s, least and median of 5'] = f'{min(t):.2f} {np.median(t):.2f}'
        rows['resident memory after 400 searches, share of the vectors'] = subprocess.run([sys.executable, '-c', MEMORY, folder], capture_output=True, text=True, check=True).stdout.strip()[:5]
        index, new = open_index(folder), clustered(1000, d, args.seed + 9)
        rows['add 1,000 crops, durable: s'] = f'{seconds(lambda: index.add(table_of(1000, "n"), new, "bench")):.2f}'
        rows['delete 1,000 crops, durable: s'] = f'{seconds(lambda: index.delete(list(table_of(1000, "n").crop_id))):.2f}'
    small = clustered(2500, 1024, args.seed); flat = faiss.IndexFlatIP(1024); flat.add(small)
    domain = load_domain('vehicles'); r = Retriever(domain, in_memory(small, table_of(2500), Vocabulary(**vocabulary_of(domain)), 'bench'))
    bare, ours = cpu(lambda: flat.search(small[:1], 10)), cpu(lambda: r.search(small[0], 10))
    where = cpu(lambda: r.search(small[0], 10, {'zone': 'hood'})); ok = r.index.state.passing(r.canonical({'zone': 'hood'}))[0]
    sel = faiss.SearchParameters(sel=faiss.IDSelectorArray(ok.rows)); bare_where = cpu(lambda: flat.search(small[:1], 10, params=sel))
    rows['2500 x 1024, CPU µs: FAISS, Retriever.search'] = f'{bare:.0f} {ours:.0f}'
    rows['the same under a filter'] = f'{bare_where:.0f} {where:.0f}'
    print(pd.Series(rows).to_string()); print('peak of this process, GB:', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)

if __name__ == '__main__': main()
