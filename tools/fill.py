"Run notebooks and keep their outputs, pictures as small JPEG, so that they can be read without being run: `tools/fill.py nbs/05*.ipynb`."
import argparse, os, subprocess, sys
from pathlib import Path

from execnb.nbio import read_nb, write_nb
from execnb.shell import CaptureShell
from nbdev.clean import clean_nb
from nbdev.process import NBProcessor

SKIP = {'notest', 'gpu', 'weights', 'service', 'data'}   # cells with these flags keep no output: they may show material that is not ours to ship
SETUP = "from matplotlib_inline.backend_inline import set_matplotlib_formats as _f; _f('jpeg', pil_kwargs={'quality': 80}); import matplotlib as _m; _m.rcParams.update({'figure.dpi': 80, 'savefig.dpi': 80, 'figure.facecolor': 'white'})"

def fill(path: Path) -> bool:
    "Run one notebook in place; False when a cell failed."
    flags = [set(getattr(c, 'directives_', None) or {}) for c in NBProcessor(path, process=True).nb.cells]
    nb, shell, ok = read_nb(path), CaptureShell(path), True
    shell._cell_idx = None   # execnb sets it in run_all only, and reads it to show an error
    shell.run_line_magic('matplotlib', 'inline'); shell.run(SETUP)
    os.chdir(path.parent)
    for cell, flag in zip(nb.cells, flags):
        if cell.cell_type != 'code': continue
        cell.outputs, cell.execution_count = [], None
        if flag & SKIP or 'eval:' in flag: continue
        cell.outputs = shell.run(cell.source) or []
        if shell.exc:
            print(f'{path.name}: {shell.prettytb(fname=path)}', file=sys.stderr); ok = False; break
    clean_nb(nb, clean_ids=True); write_nb(nb, path)
    return ok

if __name__ == '__main__':
    ap = argparse.ArgumentParser(description=__doc__); ap.add_argument('notebooks', nargs='+', type=Path)
    paths = [p.resolve() for p in ap.parse_args().notebooks]   # before `fill` changes the folder
    sys.exit(not fill(paths[0]) if len(paths) == 1 else any([subprocess.run([sys.executable, __file__, p]).returncode for p in paths]))   # each in a process of its own: classes can be registered once only
