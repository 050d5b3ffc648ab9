"""Filtered search side by side: CPU time a query and recall@10 against exact, per size, filter and engine.

    python benchmarks/search.py --sizes 2500x1024 50000x1024 --others hnswlib lancedb qdrant milvus

Ours is `Index.search` with a `where`, everything included; the FAISS rows are bare calls with the selector made beforehand. `exact` is
FAISS over the passing rows, `hnsw = recall` the FAISS graph at the smallest ef that reaches our recall on the same queries (- where none does before it is slower than exact). Recall is
judged on all --queries, time on the first hundred. The last column divides ours by the
faster of these two, `over` subtracts it: under some ten µs the ratio is of calls from Python, not of search. `bare` is the ratio of the exact FAISS call itself
once it is wrapped in the least that a search by filter does. The ef of `hnsw = recall` is chosen with
the answers at hand; how it does on 2,000 further queries near stored rows, and how ours does, is said below each size. Sizes named real-* are bootstrapped from real vectors (--shared, the folder of real data). Graphs are kept in --cache.
Others (not requirements of the package; pip install hnswlib lancedb qdrant-edge-py "pymilvus[milvus-lite]") are searched through their own filters,
with the first --other-queries of the queries and once; the CPU time of processes they start counts. hnswlib asks a Python function whether a row passes: that is its filter.
"""
import argparse, importlib.util, platform, sys, tempfile, time
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa

from mmrag_nb.codes import part_with
from mmrag_nb.core import versions
from mmrag_nb.index import Found, Index, State
from mmrag_nb.graph import Graph, aligned, build_graph
from mmrag_nb.measure import near_rows, reach_of
from mmrag_nb.where import Fields, Vocabulary, as_expression, passing

K = 10
WORDS = Vocabulary({}, {})
FILTERS = {'none': None, 'random 50%': {'r50': 1}, 'random 10%': {'r10': 1}, 'random 1%': {'r1': 1}, 'random .1%': {'r01': 1}, 'along 50%': {'side': 'near'},
           'against 50%': {'side': ['far', 'farther', 'farthest']}, 'against 10%': {'side': ['farther', 'farthest']}, 'against 1%': {'side': 'farthest'}, 'two fields': {'r50': 1, 'zone': ['3', '4']}}

def clustered(n: int, d: int, seed: int, noise=.8) -> np.ndarray:
    "Unit vectors around one centre for every 250 of them."
    rng = np.random.default_rng(seed)
    c = rng.standard_normal((max(20, n // 250), d), dtype=np.float32) / np.float32(np.sqrt(d))
    x = c[rng.integers(0, len(c), n)]
    for i in range(0, n, 50_000): x[i:i + 50_000] += np.float32(noise / np.sqrt(d)) * rng.standard_normal((len(x[i:i + 50_000]), d), dtype=np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)

def bootstrapped(v: np.ndarray, n: int, seed: int) -> np.ndarray:
    "Real vectors, each mixed a little with another and with noise."
    rng = np.random.default_rng(seed)
    v, a = v / np.linalg.norm(v, axis=1, keepdims=True), rng.beta(1, 6, n).astype(np.float32)[:, None]
    x = (1 - a) * v[rng.integers(0, len(v), n)] + a * v[rng.integers(0, len(v), n)]
    x += np.float32(.3 / np.sqrt(v.shape[1])) * rng.standard_normal(x.shape, dtype=np.float32)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

def vectors_of(size: str, shared: Path, seed: int) -> np.ndarray:
    real = {'real-dinov3': 'dinov3_vitl16.npy', 'real-clip': 'clip_vitb16_cars.npy'}
    if size in real: return bootstrapped(np.load(shared/'data'/'reference_vectors'/real[size]), 50_000, seed)
    return clustered(*map(int, size.split('x')), seed)

def fields_of(v: np.ndarray, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    "Columns to filter by, and a direction that `side` is measured along: queries come from its near end."
    rng = np.random.default_rng(seed + 1)
    pole = v[rng.integers(len(v))]
    place = (v @ pole).argsort().argsort() / len(v)
    t = pd.DataFrame({f'r{n}': (rng.random(len(v)) < s).astype(int) for n, s in (('50', .5), ('10', .1), ('1', .01), ('01', .001))})
    t['side'] = np.select([place < .01, place < .1, place < .5], ['farthest', 'farther', 'far'], 'near')
    return t.assign(zone=rng.integers(0, 10, len(v)).astype(str), crop_id=[f'{i:016x}' for i in range(len(v))], photo_id='p'), place

def queries_of(v: np.ndarray, place: np.ndarray, n: int, seed: int) -> np.ndarray:
    "Near stored vectors of the near end."
    rng = np.random.default_rng(seed + 2)
    q = v[rng.choice(np.flatnonzero(place > .9), n)] + np.float32(.4 / np.sqrt(v.shape[1])) * rng.standard_normal((n, v.shape[1]), dtype=np.float32)
    return q / np.linalg.norm(q, axis=1, keepdims=True)

def measured(search, queries: np.ndarray, seconds: float) -> tuple[list, float]:
    "Results, and CPU µs a query over the first hundred: the least of some rounds."
    found, queries, best, until = [search(q) for q in queries], queries[:100], np.inf, time.perf_counter() + seconds
    while best == np.inf or time.perf_counter() < until:
        t = time.process_time()
        for q in queries: search(q)
        best = min(best, time.process_time() - t)
    return found, best / len(queries) * 1e6

def measured_once(search, queries: np.ndarray) -> tuple[list, float]:
    "The same in one round, with the CPU time of processes that were started."
    spent = lambda: time.process_time() + sum(sum(p.cpu_times()[:2]) for p in psutil.Process().children(recursive=True))
    search(queries[0]); t = spent()
    found = [search(q) for q in queries]
    return found, (spent() - t) / len(queries) * 1e6

def recall(v: np.ndarray, queries: np.ndarray, found: list, ok: np.ndarray, least: np.ndarray) -> float:
    "Share of the true ten; equal cosines may stand for each other, rows that don't pass count as missed."
    hits = sum(((v[r] @ q >= l - 1e-5) & ok[r]).sum() for q, r, l in zip(queries, (np.unique(np.asarray(f, np.int64)) for f in found), least))
    return float(hits / (len(queries) * min(K, max(ok.sum(), 1))))

def truth(v: np.ndarray, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    "Cosine of the worst of the true ten."
    worst, k = [], min(K, len(rows))
    for i in range(0, len(queries), 64):
        best = [np.sort((v[rows[j:j + 100_000]] @ queries[i:i + 64].T), axis=0)[-k:] for j in range(0, len(rows), 100_000)]
        worst.append(np.sort(np.concatenate(best), axis=0)[-k])
    return np.concatenate(worst)

def bench(size: str, args) -> pd.DataFrame:
    v = aligned(vectors_of(size, args.shared, args.seed))   # as in a mapped file
    table, place = fields_of(v, args.seed)
    raw, built = cached_graph(size, v, args)
    graph, flat = Graph(raw, v), faiss.IndexFlatIP(v.shape[1])
    flat.add(v)
    t = time.process_time(); reach = reach_of(raw, v) if args.graph else None; measuring = time.process_time() - t
    ours = Index(State([part_with(v, 'graph' if args.graph else None, raw, reach, 64)], [Fields(pa.Table.from_pandas(table))], None, WORDS))
    engines = engines_of(v, table, args)
    queries, rows = queries_of(v, place, args.queries, args.seed), []
    some = queries[:args.other_queries]
    for name, where in FILTERS.items():
        ok = passing(ours.state.fields[0], where, WORDS); least = truth(v, queries, ok.rows)
        judged = lambda search: (lambda f, t: (recall(v, queries, f, ok.mask, least), t))(*measured(search, queries, args.seconds))
        row = {'size': size, 'filter': name, 'pass': ok.count}
        ways = {}
        def ask(q, ways=ways): f = ours.search(q, K, where); ways[f.way] = ways.get(f.way, 0) + 1; return f.rows
        row['ours'] = judged(ask); row['way'] = '+'.join(sorted(ways))
        by_rows = faiss.SearchParameters(sel=faiss.IDSelectorArray(ok.rows)) if where else None
        row['exact'] = 1., measured(lambda q: flat.search(q[None], K, params=by_rows)[1][0], queries[:100], args.seconds)[1]   # what the truth is
        bitmap = faiss.IDSelectorBitmap(ok.bits) if where else None
        def hnsw(ef): p = faiss.SearchParametersHNSW(efSearch=ef, sel=bitmap); return lambda q: graph.index.search(q[None], K, params=p)[1][0]
        row['hnsw 64'], row['hnsw 256'] = judged(hnsw(64)), judged(hnsw(256))
        wide = faiss.SearchParametersHNSW(efSearch=20 * K)
        row['over-fetch'] = judged(lambda q: (lambda r: r[ok.mask[r]][:K])(graph.index.search(q[None], 10 * K, params=wide)[1][0]))
        row['hnsw = recall'] = same_recall(judged, hnsw, row)
        for n, e in engines.items(): f, t = measured_once(e(where), some); row[n] = (recall(v, some, f, ok.mask, least[:len(some)]), t)
        fastest = min(row['exact'][1], row['hnsw = recall'][1])
        row['over, µs'], row['ratio'] = row['ours'][1] - fastest, row['ours'][1] / fastest
        row['bare'] = measured(about_bare(flat, where, by_rows, ok.count), queries[:100], args.seconds)[1] / row['exact'][1]
        if where is None: said = on_others(v, graph, ours, row['hnsw = recall'])
        rows.append(row); print('.', end='', file=sys.stderr, flush=True)
    s = ours.state.parts[0].shadow
    print(f'\n{said}\n{size}: graph {raw.nbytes / len(v):.0f} bytes a row, built in {built:.0f} CPU s, reach [ef, K] {reach} measured in {measuring:.1f} CPU s; {ours.state.parts[0].costs}' + (f'; shadow: {s.checked} of {s.searched} graph searches checked, recall {s.recall}' if s.checked else ''))
    return pd.DataFrame(rows)

def about_bare(flat, where, params, count: int):
    "The FAISS call in the least that a search by filter does: know the filter again, look at the query, say what came of it."
    kept = {repr(where): (params, count)}
    def search(q):
        chosen, passing = kept[repr(where)]
        if not .999 < q.dot(q) < 1.001: raise ValueError
        c, r = flat.search(q[None], K, params=chosen)
        return Found(r[0], c[0], 'exact', passing, True, None)
    return search

def same_recall(judged, hnsw, row: dict) -> tuple[float, float]:
    "The graph at the smallest ef with our recall."
    for ef in (16, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 512, 1024, 2048, 4096):
        if ef in (64, 256): found = row[f'hnsw {ef}']
        else: found = judged(hnsw(ef))
        if found[0] >= row['ours'][0] - 1e-9: return (*found, ef)
        if found[1] > row['exact'][1]: break   # it won't be the faster one
    return 0., np.inf, 0

def on_others(v: np.ndarray, graph: Graph, ours: Index, same: tuple) -> str:
    "What the chosen ef finds when other queries are asked, none of them filtered."
    q = near_rows(v, 2000, 7); least = truth(v, q, np.arange(len(v))); every = np.ones(len(v), bool)
    said = f'2,000 other queries, no filter: ours {recall(v, q, [f.rows for f in map(lambda x: ours.search(x, K), q)], every, least):.5f}'
    if not same[2]: return said
    rows = graph.search(q, K, same[2])[0]
    lost = np.mean([not ((v[r] @ x >= l - 1e-5)).any() for x, r, l in zip(q, rows, least)])
    return f'{said}, FAISS HNSW at ef {same[2]} {recall(v, q, list(rows), every, least):.5f} (all ten lost by {lost:.2%} of the queries)'

def engines_of(v: np.ndarray, table: pd.DataFrame, args) -> dict:
    "The other engines, filled; which of them can't take part is said."
    engines = {}
    for n in args.others if len(v) <= args.others_to else ():
        if importlib.util.find_spec(NEEDS[n]) is None: print(f'{n}: not run, {NEEDS[n]} is not installed'); continue
        t = time.process_time(); engines[n] = ENGINES[n](v, table); print(f'{n}: filled in {time.process_time() - t:.0f} CPU s', file=sys.stderr, flush=True)
    return engines

def cached_graph(size: str, v: np.ndarray, args) -> tuple[np.ndarray, float]:
    path = args.cache/f'{size}-{args.seed}.graph.npy'
    if path.exists(): return np.load(path), float(path.with_suffix('.seconds').read_text())
    t = time.process_time(); raw = build_graph(v, 32, 200, args.workers); t = time.process_time() - t
    args.cache.mkdir(parents=True, exist_ok=True); np.save(path, raw); path.with_suffix('.seconds').write_text(str(t))
    return raw, t

def hnswlib_engine(v, table):
    import hnswlib
    index = hnswlib.Index('ip', v.shape[1]); index.init_index(len(v), ef_construction=200, M=32); index.set_num_threads(1); index.add_items(v); index.set_ef(64)
    fields = Fields(pa.Table.from_pandas(table))
    def search(where):
        mask = passing(fields, where, WORDS).mask
        def ask(q):
            try: return index.knn_query(q, K, filter=(lambda i: bool(mask[i])) if where else None)[0][0]
            except RuntimeError: return np.empty(0, int)   # it raises when it finds fewer than k
        return ask
    return search

def lancedb_engine(v, table):
    import lancedb
    db = lancedb.connect(tempfile.mkdtemp())
    flat = pa.FixedSizeListArray.from_arrays(pa.array(v.ravel()), v.shape[1])
    t = db.create_table('t', pa.Table.from_pandas(table.assign(i=np.arange(len(v)))).append_column('vector', flat))
    t.create_index('vector', config=lancedb.index.HnswSq(distance_type='cosine', num_partitions=1))
    def sql(where): return ' AND '.join(f"{c} IN ({', '.join(repr(x) for x in (w if isinstance(w, list) else [w]))})" for c, w in where.items())
    def search(where):
        def ask(q):
            s = t.search(q).distance_type('cosine').limit(K).refine_factor(3).select(['i', '_distance'])
            return [r['i'] for r in (s.where(sql(where), prefilter=True) if where else s).to_list()]
        return ask
    return search

def qdrant_engine(v, table):
    import qdrant_edge as qe
    config = qe.EdgeConfig(vectors=qe.EdgeVectorParams(size=v.shape[1], distance=qe.Distance.Cosine))
    shard = qe.EdgeShard.create(tempfile.mkdtemp(), config)
    columns = ['r50', 'r10', 'r1', 'r01', 'side', 'zone']
    for c in columns: shard.update(qe.UpdateOperation.create_field_index(c, qe.PayloadSchemaType.Keyword if table[c].dtype == object or str(table[c].dtype).startswith('str') else qe.PayloadSchemaType.Integer))
    records = table[columns].to_dict('records')
    for i in range(0, len(v), 1000): shard.update(qe.UpdateOperation.upsert_points([qe.Point(j, v[j].tolist(), records[j]) for j in range(i, min(i + 1000, len(v)))]))
    shard.optimize()
    def condition(c, w): return qe.FieldCondition(c, match=qe.MatchAny(w)) if isinstance(w, list) else qe.FieldCondition(c, match=qe.MatchValue(w))
    def search(where):
        f = qe.Filter(must=[condition(c, w) for c, w in where.items()]) if where else None
        return lambda q: [p.id for p in shard.query(qe.QueryRequest(query=qe.Query.Nearest(q.tolist()), limit=K, filter=f))]
    return search

def milvus_engine(v, table):
    from pymilvus import DataType, MilvusClient
    client = MilvusClient(str(Path(tempfile.mkdtemp())/'m.db'))
    schema = client.create_schema(); schema.add_field('i', DataType.INT64, is_primary=True); schema.add_field('vector', DataType.FLOAT_VECTOR, dim=v.shape[1])
    for c in ('r50', 'r10', 'r1', 'r01'): schema.add_field(c, DataType.INT64)
    for c in ('side', 'zone'): schema.add_field(c, DataType.VARCHAR, max_length=16)
    params = client.prepare_index_params(); params.add_index('vector', index_type='FLAT', metric_type='IP')
    client.create_collection('t', schema=schema, index_params=params)
    for i in range(0, len(v), 2000): client.insert('t', [{**r, 'i': j, 'vector': v[j]} for j, r in enumerate(table.iloc[i:i + 2000][['r50', 'r10', 'r1', 'r01', 'side', 'zone']].to_dict('records'), i)])
    return lambda where: lambda q: [h['i'] for h in client.search('t', [q], limit=K, filter=as_expression(where, WORDS))[0]]

NEEDS = {'hnswlib': 'hnswlib', 'lancedb': 'lancedb', 'qdrant': 'qdrant_edge', 'milvus': 'pymilvus'}
ENGINES = {'hnswlib': hnswlib_engine, 'lancedb': lancedb_engine, 'qdrant': qdrant_engine, 'milvus': milvus_engine}

def shown(t: pd.DataFrame) -> pd.DataFrame:
    "Recall and µs as text."
    cell = lambda x: f'{x[0]:.4f} {x[1]:7.0f}' if isinstance(x, tuple) and np.isfinite(x[1]) else '-' if isinstance(x, tuple) else x
    return t.drop(columns='size').map(cell).assign(**{'over, µs': t['over, µs'].round(), 'ratio': t.ratio.round(2), 'bare': t.bare.round(2)})

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--sizes', nargs='+', default=['2500x1024', '50000x1024'], help='rows x dimensions, real-dinov3, real-clip')
    ap.add_argument('--others', nargs='*', default=[], choices=list(ENGINES)); ap.add_argument('--others-to', type=int, default=60_000, help='rows up to which the others take part')
    ap.add_argument('--queries', type=int, default=1000); ap.add_argument('--other-queries', type=int, default=20, help='asked of the other engines'); ap.add_argument('--seconds', type=float, default=.5, help='of timing a cell, at least one round')
    ap.add_argument('--seed', type=int, default=0); ap.add_argument('--workers', type=int, default=0, help='threads to build a graph'); ap.add_argument('--graph', action=argparse.BooleanOptionalAction, default=True, help='ours has the graph too')
    ap.add_argument('--cache', type=Path, default=Path(tempfile.gettempdir())/'mmrag-bench'); ap.add_argument('--shared', type=Path, default=Path('../shared')); ap.add_argument('--csv', type=Path)
    args = ap.parse_args()
    faiss.omp_set_num_threads(1)
    print(f'{platform.processor() or platform.machine()}, one thread, seed {args.seed}, {args.queries} queries, k {K}; cells: recall@10, CPU µs a query'); print(versions())
    pd.set_option('display.width', 300, 'display.max_columns', 30)
    tables = []
    for size in args.sizes:
        tables.append(bench(size, args)); print(shown(tables[-1]).to_string(index=False), flush=True)
        if args.csv: pd.concat(tables).to_csv(args.csv, index=False)

if __name__ == '__main__': main()
