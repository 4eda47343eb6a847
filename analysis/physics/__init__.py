"""Questions to a trained physics network: where its predictions go wrong."""
