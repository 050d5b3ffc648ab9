"Write README.md from nbs/index.ipynb; with --check only say whether it is current."
import argparse, sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
NOTE = '<!-- Generated from nbs/index.ipynb by `make readme`: edit that notebook, not this file. -->\n\n'

def readme() -> str:
    "The notebook's visible cells as Markdown."
    nb = nbformat.read(ROOT/'nbs'/'index.ipynb', as_version=4)
    nb.cells = [c for c in nb.cells if not c.source.lstrip().startswith('#| hide')]
    return NOTE + MarkdownExporter().from_notebook_node(nb)[0].strip() + '\n'

def main():
    ap = argparse.ArgumentParser(description=__doc__); ap.add_argument('--check', action='store_true')
    check, path, text = ap.parse_args().check, ROOT/'README.md', readme()
    if not check: path.write_text(text, encoding='utf-8')
    elif not path.exists() or path.read_text(encoding='utf-8') != text: sys.exit('README.md is not what nbs/index.ipynb gives: run `make readme`.')

if __name__ == '__main__': main()
