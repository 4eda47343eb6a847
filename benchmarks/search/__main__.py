"""The command `python -m benchmarks.search`: see `benchmarks.search.comparison`."""

from benchmarks.search.comparison import main

if __name__ == "__main__":
    main()
