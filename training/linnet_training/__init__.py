"""Training of small WaveRNN vocoders: data preparation, model, block pruning, evaluation."""
