"""The long time lags of Hochreiter & Schmidhuber (1997), one task per file."""
