"""Start the coordinator: python coordinator.py CONFIG RUN_DIR"""

from pbtnas.cli import main

if __name__ == "__main__":
    main(["coordinator"], prefix=True)
