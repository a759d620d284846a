"""What tables and figures call cells, tasks, metrics and breakdowns. Labels are one line of visible characters."""

from rnnbench.visible import visible

CELLS = {
    "rnn": "RNN",
    "irnn": "IRNN",
    "leaky": "leaky RNN",
    "scrn": "SCRN",
    "clockwork": "clockwork RNN",
    "indrnn": "IndRNN",
    "antisymmetric": "antisymmetric RNN",
    "exprnn": "expRNN",
    "cornn": "coRNN",
    "lem": "LEM",
    "lstm": "LSTM",
    "lstm_peephole": "LSTM with peepholes",
    "lstm_coupled": "LSTM, coupled gates",
    "lstm_no_input": "LSTM, no input gate",
    "lstm_no_forget": "LSTM, no forget gate",
    "lstm_no_output": "LSTM, no output gate",
    "lstm_no_output_activation": "LSTM, no output tanh",
    "lstm_layer_norm": "LSTM, layer norm",
    "lstm_projected": "LSTM, projected",
    "fast_slow": "fast-slow LSTM",
    "slstm": "sLSTM",
    "janet": "JANET",
    "gru": "GRU",
    "mgu": "MGU",
    "min_gru": "minGRU",
    "min_lstm": "minLSTM",
    "sru": "SRU",
    "lru": "LRU",
    "s4d": "S4D",
}

TASKS = {
    "anbn": "a^n b^n",
    "anbncn": "a^n b^n c^n",
    "cifar10": "CIFAR-10",
    "embedded_reber": "Embedded Reber",
    "mackey_glass": "Mackey-Glass",
    "mnist": "MNIST",
    "modular_arithmetic_brackets": "Modular arithmetic, brackets",
    "n_back": "n-back",
    "ner": "Named entities",
    "shuffle_dyck": "Shuffle-Dyck",
}

ABBREVIATIONS = {"f1", "mse", "nmse"}


def cell_label(name: str) -> str:
    """Returns what a cell is called in figures and tables."""
    return CELLS.get(name, visible(name))


def metric_label(name: str) -> str:
    """Returns what a metric is called in figures and tables."""
    return name.upper() if name in ABBREVIATIONS else visible(name).replace("_", " ")


def title(name: str) -> str:
    """Returns a task's name as a title: "Sentence completion" for sentence_completion."""
    return TASKS.get(name) or visible(name.replace("_", " ").capitalize())


def breakdown_label(by: str) -> str:
    """Returns what a breakdown of the score is called in figures and tables."""
    names = {"distance": "distance from the cue to the answer (steps)", "length": "length (symbols)"}
    return names.get(by) or metric_label(by)
