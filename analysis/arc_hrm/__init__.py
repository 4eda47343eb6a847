"""Analysis of the HRM-style networks on ARC: how its reports open, and the log's claims."""
