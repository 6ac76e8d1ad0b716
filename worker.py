"""Start a worker: python worker.py RUN_DIR [--device cuda:0]"""

from pbtnas.cli import main

if __name__ == "__main__":
    main(["worker"], prefix=True)
