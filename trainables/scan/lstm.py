"""The LSTMs: the log's, which adds the mean of its encoder's outputs, and one with attention.

All networks of this family read rules int64 [rows, parts], commands int64 [rows, words] and actions
int64 [rows, positions], and know four things: `forward` gives the logits of every position, as in
training; `encode` reads rules and commands; `step` gives the logits of one position and the state
after it; `state` is a tuple of tensors [rows, ...], so that a decoder can drop and copy rows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["AttentionLSTM", "LoggedLSTM", "State"]

State = tuple[Tensor, ...]
"""What a decoder carries from one position to the next: tensors that share their rows."""

LOGGED_POSITIONS = 50  # words that the log pads its commands to


def one_bias(lstm: nn.LSTM) -> nn.LSTM:
    """Makes an LSTM one with a single bias, as Keras has it; torch adds up two.

    The second is zero and frozen: it is in the state dict, and is no trained parameter.
    """
    for name, parameter in lstm.named_parameters():
        if name.startswith("bias_hh"):
            nn.init.zeros_(parameter).requires_grad_(False)
    return lstm


class LoggedLSTM(nn.Module):
    """The log's network, of 267,914 trained parameters, or 327,818 with its path for rules.

    The decoder begins with a state of zeros and never sees the encoder's. The mean of the encoder's
    outputs over 50 positions, the padding among them, is added to each of its outputs before the
    last layer. The path for rules is an LSTM of half the width, whose last state goes through a
    layer and is added to the encoder's outputs. Source: `train_progressive_minimal.py` of github
    fergusmeiklejohn/neural_networks_research (b261e4d).

    Args:
        words: tokens of commands.
        rules: tokens of rules; 0 leaves the path out.
        actions: tokens of actions.
        width: the width of embeddings and states.
        dropout: the share of the last layer's inputs that is dropped in training.
    """

    def __init__(self, words: int, rules: int, actions: int, width: int = 128, dropout: float = 0.0) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.encoder = one_bias(nn.LSTM(width, width, batch_first=True))
        if rules:
            self.rules = nn.Embedding(rules, width)
            self.rule_encoder = one_bias(nn.LSTM(width, width // 2, batch_first=True))
            self.rule_output = nn.Linear(width // 2, width)
        self.reads_rules = rules > 0
        self.actions = nn.Embedding(actions, width)
        self.decoder = one_bias(nn.LSTM(width, width, batch_first=True))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, actions)

    def encode(self, rules: Tensor, commands: Tensor) -> State:
        """Reads rules and commands: the encoder's mean, and the decoder's state of zeros."""
        padded = nn.functional.pad(commands, (0, LOGGED_POSITIONS - commands.shape[1]))
        mean = self.encoder(self.words(padded))[0].mean(1)
        if self.reads_rules:
            mean = mean + self.rule_output(self.rule_encoder(self.rules(rules))[1][0][0])
        zeros = torch.zeros_like(mean)
        return mean, zeros, zeros

    def _decode(self, state: State, actions: Tensor) -> tuple[Tensor, State]:
        mean, hidden, cell = state
        found, (hidden, cell) = self.decoder(self.actions(actions), (hidden[None], cell[None]))
        logits = self.output(self.dropout(found + mean[:, None]))
        return logits, (mean, hidden[0], cell[0])

    def forward(self, rules: Tensor, commands: Tensor, actions: Tensor) -> Tensor:
        """Returns the logits of the action after each given one, [rows, positions, actions]."""
        return self._decode(self.encode(rules, commands), actions)[0]

    def step(self, state: State, action: Tensor) -> tuple[Tensor, State]:
        """Returns the logits [rows, actions] after an action [rows], and the state after it."""
        logits, state = self._decode(state, action[:, None])
        return logits[:, 0], state


class AttentionLSTM(nn.Module):
    """An LSTM encoder and an LSTM decoder that attends to all of the encoder's outputs.

    The attention is the general, global one of Luong et al. 2015 (eq. 5, 7 and 8). The tokens of
    the rules stand before the command. The decoder begins with the encoder's last state; padding is
    read, as commands all have one width, but not attended to.

    Args:
        words: tokens of commands.
        rules: tokens of rules.
        actions: tokens of actions.
        width: the width of embeddings and states.
        dropout: the share of embeddings and of the last layer's inputs that is dropped in training.
    """

    def __init__(self, words: int, rules: int, actions: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.rules = nn.Embedding(rules, width)
        self.encoder = nn.LSTM(width, width, batch_first=True)
        self.actions = nn.Embedding(actions, width)
        self.decoder = nn.LSTM(width, width, batch_first=True)
        self.attention = nn.Linear(width, width, bias=False)
        self.combined = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, actions)

    def encode(self, rules: Tensor, commands: Tensor) -> State:
        """Reads rules and commands.

        Returns:
            The encoder's outputs, the same as keys, what is padding, and the decoder's state.
        """
        embedded = self.dropout(torch.cat([self.rules(rules), self.words(commands)], 1))
        found, (hidden, cell) = self.encoder(embedded)
        padding = torch.cat([rules == 0, commands == 0], 1)
        return found, self.attention(found), padding, hidden[0], cell[0]

    def _decode(self, state: State, actions: Tensor) -> tuple[Tensor, State]:
        values, keys, padding, hidden, cell = state
        found, (hidden, cell) = self.decoder(self.dropout(self.actions(actions)), (hidden[None], cell[None]))
        scores = (found @ keys.transpose(1, 2)).masked_fill(padding[:, None], -torch.inf)
        context = scores.softmax(-1) @ values
        combined = torch.tanh(self.combined(torch.cat([context, found], -1)))
        return self.output(self.dropout(combined)), (values, keys, padding, hidden[0], cell[0])

    def forward(self, rules: Tensor, commands: Tensor, actions: Tensor) -> Tensor:
        """Returns the logits of the action after each given one, [rows, positions, actions]."""
        return self._decode(self.encode(rules, commands), actions)[0]

    def step(self, state: State, action: Tensor) -> tuple[Tensor, State]:
        """Returns the logits [rows, actions] after an action [rows], and the state after it."""
        logits, state = self._decode(state, action[:, None])
        return logits[:, 0], state
