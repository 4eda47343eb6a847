"""Does an encoder of demonstrations learn rules, or tasks?

The log behind this study replaces a network's embedding of each puzzle by an encoder of the
puzzle's demonstrations, finds that a cache of the encoder's output starves it of gradients, and
mends that by encoding again at every call. Here the embedding, the encoder and the cached encoder
are arms on small grids whose rules are known: new instances of rules that were trained on are one
column, rules that never were another, for which the embedding has no score. Each arm has as many
tuning trials and as many samples x segments, and each winner is trained again from 5 fresh seeds on
the same boards.

    python sweeps/encoder.py                    three arms on this machine
    python sweeps/encoder.py --dry-run          the plan, and what it would cost here
    python sweeps/encoder.py "arm=reencode,fct,attention,plain transformer,frozen,variational"
                                                other arms
    python sweeps/encoder.py "arm=reencode,decoder,decoder frozen" l_layers=1 start=CHECKPOINT
                                                the decoder of a trm, or of the arm embedding,
                                                trained further or frozen
    python sweeps/encoder.py --scale full       every fresh arm at the log's width: needs GPUs
    leadline compare results/NAME:reencode results/NAME:cached

How many rules must be trained on before new ones are learnt is a curve over `train_rules`, with the
same new rules at each point, for example 4, 8, 16 and 30:

    python sweeps/encoder.py "arm=plain transformer" train_rules=16

Arms stand in search_spaces/encoder; docs/arc.md says what they are.
"""

from __future__ import annotations

from leadline import main
from search_spaces.encoder import recursive

STUDY = recursive.STUDY

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
