"""How a study is run: searcher, scheduler, placement, display."""
