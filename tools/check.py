"""Check the whole project: package in step with the notebooks, README current, every notebook run.

Each notebook runs in a process of its own, so that no state leaks, and under a time limit. Cells that need real data run where
that is found (`$MMRAG_SHARED`, or `shared` beside the project). The last line counts notebooks: `N passed, N failed`.
"""
import argparse, ast, hashlib, json, os, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
FLAGS = {'gpu': 'no GPU asked for', 'weights': 'needs weights from a model hub', 'service': 'needs a running service',
         'data': 'needs the folder of real data', 'notest': 'for reading only'}
RUN = """
import sys; from pathlib import Path; from nbdev.test import test_nb
ok, s = test_nb(Path(sys.argv[1]), skip_flags=sys.argv[2].split(), basepath=Path(sys.argv[1]).parent.parent)
sys.exit(not ok)
"""

def state() -> dict[str, str]:
    "Hash of every notebook and module."
    files = [*ROOT.glob('nbs/*.ipynb'), *ROOT.glob('mmrag_nb/*.py')]
    return {str(p.relative_to(ROOT)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

def sync() -> list[str]:
    "What export and clean change, and modules that no notebook makes."
    before = state()
    for cmd in ('nbdev_export', 'nbdev_clean'): subprocess.run([BIN/cmd], cwd=ROOT, check=True)
    after = state()
    changed = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    made = {p.stem for p in ROOT.glob('mmrag_nb/*.py')} - {'__init__', '_modidx'}
    orphans = sorted(made - {m for p in ROOT.glob('nbs/*.ipynb') if (m := module(p))})
    return [f'{n}: not in step, run nbdev_export and nbdev_clean and commit' for n in changed] + [f'mmrag_nb/{m}.py: no notebook makes it' for m in orphans]

def stray() -> list[str]:
    "Lines of a notebook's story that slipped into its module: expressions that only show a value."
    shown = (ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.Dict, ast.BinOp, ast.Compare)
    found = [(p.name, n.lineno) for p in sorted(ROOT.glob('mmrag_nb/*.py')) for n in ast.parse(p.read_text(encoding='utf-8')).body if isinstance(n, ast.Expr) and isinstance(n.value, shown)]
    return [f'mmrag_nb/{name}:{line}: a line of the story stands in an exported cell' for name, line in found]

def unused() -> list[str]:
    "Names that are imported or given and never used."
    p = subprocess.run([BIN/'ruff', 'check', '--quiet', '--select', 'F', '--per-file-ignores', '__init__.py:F401', '--output-format', 'concise', 'mmrag_nb', 'benchmarks', 'tools'], cwd=ROOT, capture_output=True, text=True)
    return p.stdout.splitlines() + p.stderr.splitlines()

def imports() -> list[str]:
    "Every module must import on its own names."
    code = 'import importlib, sys\nfor m in sys.argv[1:]: importlib.import_module(m)'
    names = [f'mmrag_nb.{p.stem}' for p in sorted(ROOT.glob('mmrag_nb/*.py')) if p.stem not in ('__init__', '_modidx')]
    p = subprocess.run([sys.executable, '-c', code, *names], cwd=ROOT, capture_output=True, text=True)
    return [] if p.returncode == 0 else [f'import: {p.stderr.strip().splitlines()[-1]}\n{p.stderr[-1500:]}']

def sources(nb: Path) -> list[str]:
    "Code cells of a notebook."
    return [''.join(c['source']) for c in json.loads(nb.read_text(encoding='utf-8'))['cells'] if c['cell_type'] == 'code']

def module(nb: Path) -> str | None:
    "Name of the module that a notebook exports."
    lines = [l.split()[-1] for s in sources(nb) for l in s.splitlines() if l.startswith('#| default_exp')]
    return lines[0] if lines else None

def skipped(nb: Path, flags: list[str]) -> dict[str, int]:
    "How many cells carry a flag that is left out."
    firsts = [l.removeprefix('#|').strip() for s in sources(nb) for l in s.splitlines() if l.startswith('#|')]
    return {f: firsts.count(f) for f in flags if f in firsts}

def run(nb: Path, flags: list[str], limit: int) -> tuple[bool, float, str]:
    "Run one notebook in its own process."
    env, t0 = {**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg', 'PYTHONPATH': str(ROOT), 'TOKENIZERS_PARALLELISM': 'false'}, time.time()
    try: p = subprocess.run([sys.executable, '-c', RUN, nb, ' '.join(flags)], cwd=ROOT/'nbs', env=env, capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired: return False, limit, f'took longer than {limit} s'
    return p.returncode == 0, time.time() - t0, p.stdout[-2000:] + p.stderr[-4000:]

def real_data() -> bool:
    named = os.environ.get('MMRAG_SHARED')
    return (Path(named) if named else ROOT.parent/'shared').joinpath('data').is_dir()

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('notebooks', nargs='*', type=Path, help='only these (default: all)')
    ap.add_argument('--workers', type=int, default=2); ap.add_argument('--limit', type=int, default=600, help='seconds a notebook')
    args = ap.parse_args()
    problems = [] if args.notebooks else sync() + stray() + unused() + imports() + readme()
    for p in problems: print(f'FAILED  {p}')
    nbs = args.notebooks or sorted(ROOT.glob('nbs/*.ipynb'))
    flags = [f for f in FLAGS if f != 'data' or not real_data()]
    with ThreadPoolExecutor(args.workers) as ex: results = list(ex.map(lambda nb: show(nb, *run(nb.resolve(), flags, args.limit)), nbs))
    for nb in nbs:
        for f, n in skipped(nb, flags).items(): print(f'skipped {nb.name}: {n} cell{"s" * (n > 1)} flagged {f} ({FLAGS[f]})')
    failed = results.count(False)
    print(f'unit: notebooks{"; besides, " + str(len(problems)) + " checks of the project failed" if problems else ""}')
    print(f'{len(nbs) - failed} passed, {failed + len(problems)} failed', flush=True)
    sys.exit(bool(problems) or bool(failed) or not nbs)

def show(nb: Path, ok: bool, seconds: float, output: str) -> bool:
    print(f'{"ok     " if ok else "FAILED "} {nb.name} {seconds:.1f} s', flush=True)
    if not ok: print(output, flush=True)
    return ok

def readme() -> list[str]:
    p = subprocess.run([sys.executable, ROOT/'tools'/'readme.py', '--check'], capture_output=True, text=True)
    return [] if p.returncode == 0 else [p.stderr.strip()]

if __name__ == '__main__': main()
